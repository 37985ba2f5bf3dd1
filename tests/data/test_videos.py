"""The table: folders, CSV files, official layouts, splits, metadata that survives bad files."""

import os

import numpy as np
import pytest

import keras_vssl as kv
from tests.clips import write_clip


def touch(*parts):
    path = os.path.join(*map(str, parts))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "wb").close()
    return path


def test_class_folders_give_labels_and_flat_folders_none(tmp_path):
    for name in ("b/2.mp4", "a/1.avi", "a/note.txt", "a/.hidden.mp4", "b/x [1] #é 视.mkv"):
        touch(tmp_path, name)
    videos = kv.data.Videos.from_folder(tmp_path)
    assert videos.relative_paths == ["a/1.avi", "b/2.mp4", "b/x [1] #é 视.mkv"]
    assert videos.class_names == ["a", "b"] and videos.class_ids.tolist() == [0, 1, 1]
    touch(tmp_path, "top.mp4")
    assert kv.data.Videos.from_folder(tmp_path).class_names == []


def test_split_folders_are_splits(tmp_path):
    for name in ("train/a/1.mp4", "train/b/2.mp4", "test/a/3.mp4"):
        touch(tmp_path, name)
    videos = kv.data.Videos.from_folder(tmp_path)
    assert len(videos.train) == 2 and len(videos.test) == 1
    assert videos.test.class_ids.tolist() == [0]


def test_a_part_keeps_the_meaning_of_class_ids():
    videos = kv.data.Videos(["1.mp4", "2.mp4", "3.mp4"], ["x", "y", "z"])
    part = videos[1:]
    assert part.class_ids.tolist() == [1, 2] and part.class_names == ["x", "y", "z"]
    assert videos[np.array([True, False, True])].labels.tolist() == ["x", "z"]
    assert len(videos[[2]]) == 1


def test_csv_tables_are_read(tmp_path):
    table = tmp_path / "list.csv"
    table.write_text("path,label,group,split\nx/1.mp4,run,g1,train\n2.mp4,,g2,test\n")
    videos = kv.data.Videos.from_csv(table)
    assert videos.paths[0] == str(tmp_path / "x" / "1.mp4")
    assert videos.labels.tolist() == ["run", None] and videos.groups.tolist() == ["g1", "g2"]
    assert videos.class_ids.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("text", "message"),
    [("file,label\na,b\n", "column 'path'"), ("path,label\n", "at least one row")],
)
def test_bad_tables_say_what_is_wrong(tmp_path, text, message):
    table = tmp_path / "list.csv"
    table.write_text(text)
    with pytest.raises(ValueError, match=message):
        kv.data.Videos.from_csv(table)


def test_absent_and_empty_folders_say_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        kv.data.Videos.from_folder(tmp_path / "gone")
    with pytest.raises(ValueError, match="no file ending"):
        kv.data.Videos.from_folder(tmp_path)


def test_ucf101_reads_the_official_files(tmp_path):
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n2 Biking\n")
    train = ["Archery/v_Archery_g08_c01.avi 1", "Biking/v_Biking_g08_c01.avi 2"]
    (lists / "trainlist01.txt").write_text("\n".join(train) + "\n")
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\nBiking/gone.avi\n")
    root = tmp_path / "UCF-101"
    for line in (*train, "Archery/v_Archery_g01_c01.avi"):
        touch(root, line.split()[0])
    videos = kv.data.Videos.from_ucf101(root, lists)
    assert len(videos.train) == 2 and len(videos.test) == 1 and videos.name == "ucf101"
    assert videos.missing == ["Biking/gone.avi"] and videos.class_names == ["Archery", "Biking"]
    assert videos.groups[0] == "Archery_g08" and not set(videos.train.groups) & set(
        videos.test.groups
    )
    with pytest.raises(FileNotFoundError, match="1 are absent"):
        kv.data.Videos.from_ucf101(root, lists, strict=True)
    with pytest.raises(FileNotFoundError, match="trainlist02"):
        kv.data.Videos.from_ucf101(root, lists, split=2)


def test_hmdb51_reads_the_official_files(tmp_path):
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    odd = "Some [movie] (x); & y!_wave_u_nm_np1_ri_goo_2.avi"
    (lists / "wave_test_split1.txt").write_text(f"a_wave_f_cm_np1_fr_med_0.avi 1 \n{odd} 2 \n")
    (lists / "brush_hair_test_split1.txt").write_text(
        "April_brush_hair_u_nm_np1_ba_goo_0.avi 1 \nB_brush_hair_u_nm_np1_ba_goo_1.avi 0 \n"
    )
    root = tmp_path / "hmdb"
    for name in (f"wave/{odd}", "wave/a_wave_f_cm_np1_fr_med_0.avi"):
        touch(root, name)
    touch(root, "brush_hair/April_brush_hair_u_nm_np1_ba_goo_0.avi")
    videos = kv.data.Videos.from_hmdb51(root, lists)
    assert videos.class_names == ["brush_hair", "wave"]
    assert len(videos.train) == 2 and videos.test.relative_paths == [f"wave/{odd}"]
    assert videos.groups[0] == "April"


def test_groups_are_never_torn_apart():
    rng = np.random.default_rng(0)
    groups = [f"g{i}" for i in rng.integers(0, 40, 400)]
    labels = [f"c{i % 4}" for i in range(400)]
    videos = kv.data.Videos([f"{i}.mp4" for i in range(400)], labels, groups)
    split = videos.split_by_group(test=0.3, val=0.1, seed=1)
    parts = [set(p.groups) for p in (split.train, split.val, split.test)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert 0.25 < len(split.test) / 400 < 0.35 and 0.05 < len(split.val) / 400 < 0.15
    assert split.splits.tolist() == videos.split_by_group(0.3, 0.1, seed=1).splits.tolist()
    assert split.splits.tolist() != videos.split_by_group(0.3, 0.1, seed=2).splits.tolist()


def test_metadata_survives_damaged_and_vanished_files_and_is_cached(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_VSSL_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "clips"
    write_clip(root / "good.mp4", frames=12, width=48, height=32, fps=24)
    touch(root, "empty.mp4")
    (root / "text.mp4").write_text("this is no video")
    touch(root, "vanishing.mp4")
    videos = kv.data.Videos.from_folder(root)
    os.remove(root / "vanishing.mp4")
    usable, left_out = videos.usable()
    assert usable.relative_paths == ["good.mp4"]
    assert usable.infos[0].frames == 12 and usable.infos[0].width == 48
    assert {entry["path"] for entry in left_out} == {"empty.mp4", "text.mp4", "vanishing.mp4"}
    assert all(entry["reason"] for entry in left_out)

    def fail(*args, **kwargs):
        raise AssertionError("the cache was not used")

    monkeypatch.setattr("keras_vssl.data.probe.probe_files", fail)
    again = kv.data.Videos.from_csv(_table(root, ["good.mp4", "text.mp4"]), root=root)
    assert len(again.usable()[0]) == 1
    # A file that changed is read again.
    write_clip(root / "good.mp4", frames=20, width=48, height=32, fps=24)
    with pytest.raises(AssertionError, match="cache was not used"):
        kv.data.Videos.from_folder(root).probe()


def _table(root, names):
    path = root / "some.csv"
    path.write_text("path\n" + "\n".join(names) + "\n")
    return path


def test_each_video_costs_a_few_hundred_bytes():
    import tracemalloc

    names = [f"folder_{i % 400:03d}/clip_{i:06d}.mp4" for i in range(20_000)]
    labels = [n[:10] for n in names]
    tracemalloc.start()
    videos = kv.data.Videos(names, labels, root="/data")
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used / 20_000 < 600 and len(videos.class_names) == 400
