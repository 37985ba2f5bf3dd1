"""report: one page that says everything, from the run's files alone."""

import pathlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from keras_vssl import report
from keras_vssl.report import charts, pictures, projection, tables
from tests.clips import write_clip
from tests.report import made_run


class Checker(HTMLParser):
    """Every tag that is opened is closed, in order."""

    VOID = {"meta", "img", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def clip(tmp_path):
    return pathlib.Path(write_clip(f"{tmp_path}/clip.mp4", frames=12))


@pytest.fixture
def page(tmp_path, clip):
    folder = tmp_path / "run"
    folder.mkdir()
    made_run.make(folder, [clip])
    with open(report.write(folder), encoding="utf-8") as file:
        return folder, file.read()


def test_the_page_shows_every_part_of_the_run(page):
    _, text = page
    for heading in (
        "How good the representation is",
        "Training",
        "Nearest neighbours",
        "Map of embeddings",
        "Confusion",
        "What was skipped",
        "What was run",
    ):
        assert f"<h2>{heading}</h2>" in text
    assert "VCOP · r3d_nano on clips" in text
    assert "50.0 ± 1.0" in text  # three seeds
    assert "0.0014 % of the paper" in text
    assert "the file is empty" in text and "broken.mp4" in text
    assert "No groups given." in text
    assert "8 frames x 3, gap 4, stride 1, crop 48 of 48x64" in text


def test_the_page_is_well_formed_and_asks_no_network(page):
    _, text = page
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)", text)
    assert "<script" not in text and "@import" not in text and "url(" not in text
    assert "rise &lt;fast&gt;" in text and "rise <fast>" not in text


def test_right_neighbours_are_green_and_wrong_ones_red(page):
    _, text = page
    frames = re.findall(r'<figure class="(\w*)">', text)
    assert frames.count("query") == 3
    # Neighbour j of query i is video i + j, of class (i + j) % 3: right for j = 0 and 3.
    assert frames.count("right") == 6 and frames.count("wrong") == 9


def test_thumbnails_outlive_the_videos(page, clip):
    folder, text = page
    assert "data:image/jpeg;base64," in text
    clip.unlink()
    with open(report.write(folder), encoding="utf-8") as file:
        assert file.read() == text


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Expected a run folder"):
        report.write(tmp_path)


def test_a_log_alone_gives_a_page(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,loss\n1,2.0\n2,nan\n3,1.5\n")
    with open(report.write(tmp_path), encoding="utf-8") as file:
        text = file.read()
    assert "<h2>Training</h2>" in text and "Nearest" not in text and "nan" not in text


def test_the_table_averages_seeds_and_marks_the_best():
    rows = [made_run.row("vcop", "knn", "top1", v, s) for s, v in enumerate((0.4, 0.5, 0.6))]
    rows.append(made_run.row("floor_thumbnail", "knn", "top1", 0.2, None))
    rows.append(made_run.row("vcop", "retrieval", "top10", 0.9, 0))
    rows.append(made_run.row("vcop", "retrieval", "top5", 0.8, 0))
    table = tables.protocol_table(rows)
    assert table["columns"] == [("retrieval", "top5"), ("retrieval", "top10"), ("knn", "top1")]
    assert table["methods"] == ["floor_thumbnail", "vcop"]
    mean, spread, seeds = table["cells"]["vcop", "knn", "top1"]
    assert (round(mean, 6), round(spread, 6), seeds) == (0.5, 0.1, 3)
    assert table["best"] == {("knn", "top1"): "vcop"}
    assert "50.0 ± 10.0*" in tables.as_text(table)


def test_ticks_are_round_and_cover_the_values():
    for low, high in ((0, 1), (0.013, 0.92), (-3, 700), (2.0, 2.0), (1e-9, 2e-9)):
        found = charts.ticks(low, high)
        assert found[0] <= low and found[-1] >= high and 2 <= len(found) <= 12


def test_projection_keeps_clusters_apart_and_is_repeatable():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 20)) * 5
    labels = np.repeat(np.arange(3), 20)
    points = projection.project(centres[labels] + rng.normal(size=(60, 20)))
    again = projection.project(points)
    assert np.isfinite(points).all() and np.array_equal(again, projection.project(points))
    distance = ((points[:, None] - points[None]) ** 2).sum(-1)
    np.fill_diagonal(distance, np.inf)
    assert (labels[distance.argmin(1)] == labels).mean() > 0.95


def test_a_damaged_thumbnail_file_is_made_anew(tmp_path, clip):
    file = tmp_path / "thumbnails.npz"
    file.write_bytes(b"not a zip")
    assert list(pictures.collect([clip, tmp_path / "gone.mp4"], file)) == [str(clip)]
    assert list(pictures.read(file)) == [str(clip)]
