"""Worlds that the pretext tests train on: one that moves, and its control that stands still."""

import pathlib

import keras_vssl as kv
from tests.clips import write_clip


def moving(folder, videos=240, frames=40, size=48, level="plain"):
    """A motion world as `Videos`."""
    folder = kv.data.synthetic.write(
        folder, level=level, videos=videos, frames=frames, size=size, workers=2
    )
    return kv.data.Videos.from_folder(folder)


def still(videos, folder):
    """The same videos, each showing one of its frames throughout: nothing moves, order is lost.

    A method that learns its pretext here reads an artefact.
    """
    folder = pathlib.Path(folder)
    videos.probe()
    lines = ["path,label,group,split"]
    for row in range(len(videos)):
        name = videos.relative_path(row)
        with kv.data.VideoReader(videos.paths[row]) as reader:
            total = reader.info.frames
            (frame,) = reader.frames([row % total])
        write_clip(folder / name, video=frame[None].repeat(total, axis=0))
        columns = (videos.labels[row], videos.groups[row], videos.splits[row])
        lines.append(",".join((name, *map(str, columns))))
    (folder / "splits.csv").write_text("\n".join(lines) + "\n")
    return kv.data.Videos.from_folder(folder)
