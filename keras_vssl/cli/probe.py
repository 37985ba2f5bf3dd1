"""Says what is in a folder of videos and what can't be read, and why.

Every frame of every file is decoded, in processes of their own: a file that hangs or crashes the
decoder costs itself only.
"""

import json
import os

from keras_vssl.cli import inputs, options

FIELDS = (
    "path",
    "decodable",
    "frames",
    "width",
    "height",
    "fps",
    "duration",
    "audio_rate",
    "audio_channels",
    "error",
)
EXAMPLES = """\
examples:
  keras-vssl probe clips/
  keras-vssl probe clips/ --json > probe.json
  keras-vssl probe clips/ --quick --workers 8

--json prints a list with, for each file: path, decodable (yes, partly: damaged, no), frames, width
and height (after rotation), fps, duration (s), audio_rate (Hz), audio_channels, error.
"""


def configure(parser):
    parser.add_argument("folder", metavar="FOLDER", help="a folder, a CSV, or one file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--quick", action="store_true", help="index and first frames only: finds less damage"
    )
    parser.add_argument("--workers", type=options.positive, help="processes (default: cores)")
    parser.add_argument(
        "--timeout", type=options.fraction, default=20.0, help="seconds a file may take (20)"
    )


def run(args):
    from keras_vssl.data.probe import probe_files

    paths, labels, others = find(args.folder)
    with _bar(len(paths)) as progress:
        infos = probe_files(
            paths,
            workers=args.workers,
            timeout=args.timeout,
            decode=not args.quick,
            progress=progress,
        )
    rows = []
    for info in infos:
        row = info.to_dict()
        rows.append({name: row[name] for name in FIELDS})
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        print(summary(rows, labels, others))


def find(path):
    """The files to probe, their labels or None, and how many other files there are."""
    from keras_vssl.data.videos import EXTENSIONS, Videos

    path = os.path.expanduser(path)
    if os.path.isfile(path):
        if path.lower().endswith(".csv"):
            videos = Videos.from_csv(path)
            return videos.paths, list(videos.labels), 0
        return [path], None, 0
    if not os.path.isdir(path):
        raise FileNotFoundError(f"There is no folder {path}.")
    found, others = [], 0
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                found.append(os.path.join(folder, name))
            else:
                others += 1
    if not found:
        raise ValueError(f"Expected videos in {path}, but none of its {others} files is one.")
    try:
        videos = inputs.read_videos(path)
        known = dict(zip(videos.paths, videos.labels, strict=True))
        labels = [known.get(os.path.abspath(name)) for name in found]
    except (ValueError, OSError):
        labels = None
    return found, labels, others


def summary(rows, labels, others=0):
    """What is there, as lines for a terminal."""
    good = [row for row in rows if row["decodable"] == "yes"]
    lines = [f"{len(rows)} videos: {len(good)} can be read"]
    for kind, text in (("partly", "are damaged"), ("no", "can't be read")):
        count = sum(row["decodable"] == kind for row in rows)
        if count:
            lines[0] += f", {count} {text}"
    if others:
        lines.append(f"{others} other files")
    usable = [row for row in rows if row["decodable"] != "no"]
    if usable:
        lines.append(f"frames    {_range([row['frames'] for row in usable], '{:d}')}")
        lines.append(f"fps       {_range([row['fps'] for row in usable], '{:.4g}')}")
        total = sum(row["duration"] for row in usable)
        spread = _range([row["duration"] for row in usable], "{:.3g}")
        lines.append(f"duration  {spread} s, {total / 60:.3g} min in all")
        sizes = {}
        for row in usable:
            key = f"{row['width']}x{row['height']}"
            sizes[key] = sizes.get(key, 0) + 1
        top = sorted(sizes.items(), key=lambda item: -item[1])
        more = f", and {len(top) - 3} more" if len(top) > 3 else ""
        lines.append("size      " + ", ".join(f"{k} ({v})" for k, v in top[:3]) + more)
        sound = sum(row["audio_rate"] is not None for row in usable)
        lines.append(f"sound     {sound} of {len(usable)}")
    if labels and any(labels):
        counts = {}
        for label in labels:
            counts[label or "(none)"] = counts.get(label or "(none)", 0) + 1
        shown = ", ".join(f"{name} {count}" for name, count in sorted(counts.items())[:30])
        more = ", ..." if len(counts) > 30 else ""
        lines.append(f"classes   {len(counts)}: {shown}{more}")
    for row in rows:
        if row["decodable"] != "yes":
            lines.append(f"{row['decodable']:<8}  {row['path']}: {row['error']}")
    return "\n".join(lines)


def _range(values, form):
    ordered = sorted(values)
    low, middle, high = ordered[0], ordered[len(ordered) // 2], ordered[-1]
    if low == high:
        return form.format(low)
    return f"{form.format(low)} to {form.format(high)} (median {form.format(middle)})"


class _bar:
    """A tqdm bar as `callable(done, total)`; drawn on a terminal only."""

    def __init__(self, total):
        self.total = total

    def __enter__(self):
        from tqdm import tqdm

        self.bar = tqdm(total=self.total, desc="probing", unit="file", leave=False, disable=None)
        return lambda done, total: self.bar.update(done - self.bar.n)

    def __exit__(self, *error):
        self.bar.close()
