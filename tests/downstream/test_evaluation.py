"""evaluate: rows for the model and all it is compared with, artefacts, files; the callback."""

import json

import numpy as np
import pytest

from keras_vssl.callbacks import KNNCallback
from keras_vssl.data import Videos
from keras_vssl.downstream import evaluate, floors, summary
from keras_vssl.downstream.results import plane
from keras_vssl.metrics import confusion_matrix, top_k_accuracy
from keras_vssl.tasks import VCOP

QUICK = {"clips": 2, "finetune_epochs": 1, "progress": False}


def test_rows_cover_the_model_the_baselines_and_the_floors(backbone, videos, tmp_path):
    before = [w.copy() for w in backbone.get_weights()]
    evaluation = evaluate(
        backbone, videos, seeds=(3,), method="vcop", dataset="motion", out=tmp_path, **QUICK
    )
    seen = {(r["method"], r["protocol"], r["metric"], r["seed"]) for r in evaluation.rows}
    tops = {f"top{k}" for k in (1, 5, 10, 20, 50)}
    for method, seeds in (("vcop", [None]), ("random", [3])):
        for seed in seeds:
            assert {(method, "retrieval", top, seed) for top in tops} <= seen
            assert {(method, p, "top1", seed) for p in ("knn", "linear")} <= seen
    assert {(m, "finetune", "top1", 3) for m in ("vcop", "supervised")} <= seen
    for name in floors.FLOORS:
        assert {(name, "retrieval", top, None) for top in tops} <= seen
    fields = (
        "backbone dataset value frames stride crop views videos_readable labels_used versions"
    ).split()
    for row in evaluation.rows:
        assert set(fields) <= set(row) and 0 <= row["value"] <= 1
        assert row["labels_used"] == (row["protocol"] != "retrieval")
        assert row["videos_readable"] == 24
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert backbone.trainable

    saved = json.loads((tmp_path / "results.json").read_text())
    assert saved["rows"] == evaluation.rows and saved["environment"]["versions"]
    held = np.load(tmp_path / "evaluation.npz")
    tests = len(videos.test)
    assert held["embedding"].shape == (tests, backbone.feature_dim)
    assert held["map"].shape == (tests, 2) and held["neighbours"].shape == (tests, 5)
    assert held["confusion"].sum() == tests and str(held["predicted_by"]) == "finetune"
    assert held["paths"].tolist() == videos.test.paths
    assert "Random weights" in evaluation.table()


def test_seeds_draw_other_random_weights_and_repeat(backbone, videos):
    table = videos[:12], videos[12:]
    random = {}
    for _ in range(2):
        evaluation = evaluate(backbone, *table, protocols=["linear"], seeds=(0, 1), **QUICK)
        rows = [row for row in evaluation.rows if row["method"] == "random"]
        assert [row["seed"] for row in rows] == [0, 1]
        random.setdefault("values", []).append([(row["value"], row["l2"]) for row in rows])
    assert random["values"][0] == random["values"][1]


def test_an_unlabelled_folder_gets_its_map_and_neighbours(backbone, videos, capsys):
    table = Videos([*videos.paths[:8], videos.paths[0]])
    evaluation = evaluate(backbone, table, **QUICK)
    assert evaluation.rows == []
    assert "no labels" in capsys.readouterr().err and len(evaluation.notes) == 1
    neighbours = evaluation.artefacts["neighbours"]
    assert neighbours.shape == (9, 5)
    assert not (neighbours == np.arange(9)[:, None]).any()
    assert neighbours[0, 0] == 8 and neighbours[8, 0] == 0
    assert "confusion" not in evaluation.artefacts


def test_a_table_without_splits_is_split_by_group_and_said(backbone, videos):
    table = Videos(videos.paths, videos.labels, videos.groups)
    evaluation = evaluate(backbone, table, protocols=("knn",), baselines=False, **QUICK)
    assert [r["protocol"] for r in evaluation.rows] == ["knn"]
    assert "group by group" in evaluation.notes[0]


def test_tasks_are_taken_for_their_backbone(backbone, videos):
    task = VCOP(backbone, frames=4, gap=1, resize=(32, 32), size=32)
    evaluation = evaluate(
        task, videos.train, videos.test, protocols=["linear"], baselines=False, **QUICK
    )
    (row,) = evaluation.rows
    assert row["method"] == "model" and row["l2"] > 0


def test_wrong_protocols_are_named(backbone, videos):
    with pytest.raises(ValueError, match="Expected protocols among"):
        evaluate(backbone, videos, protocols=("retreival",))


def test_summary_is_mean_and_spread_over_seeds():
    base = {"method": "random", "protocol": "knn", "metric": "top1"}
    rows = [{**base, "seed": seed, "value": value} for seed, value in ((0, 0.2), (1, 0.4))]
    rows.append({**base, "method": "vcop", "seed": None, "value": 0.5})
    first, second = summary(rows)
    assert (first["mean"], first["seeds"]) == (pytest.approx(0.3), 2)
    assert first["spread"] == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert second["spread"] is None


def test_plane_is_deterministic_and_small_sets_work():
    vectors = np.random.default_rng(0).normal(size=(20, 6))
    np.testing.assert_allclose(plane(vectors), plane(3 * vectors), atol=1e-5)
    assert plane(vectors[:1]).shape == (1, 2) and np.isfinite(plane(vectors[:1])).all()


def test_metrics():
    scores = np.array([[0.1, 0.9, 0.0], [0.5, 0.3, 0.2]])
    assert top_k_accuracy(scores, [1, 1]) == 0.5 and top_k_accuracy(scores, [1, 1], k=2) == 1.0
    assert confusion_matrix([0, 1, 1], [0, 1, 0], 2).tolist() == [[1, 0], [1, 1]]
    with pytest.raises(ValueError, match="as many labels"):
        top_k_accuracy(scores, [1])


def test_knn_callback_reports_during_pretraining(backbone, videos):
    task = VCOP(backbone, frames=4, gap=1, resize=(32, 32), size=32)
    callback = KNNCallback(videos.train, videos.test, every=2, clips=1)
    history = task.fit(videos.train, epochs=3, batch_size=4, verbose=0, callbacks=[callback])
    values = history.history["knn_top1"]
    assert len(values) == 3 and all(0 <= value <= 1 for value in values)
    assert values[2] == values[1]
    assert callback.measure(backbone) == callback.measure(backbone)
    with pytest.raises(ValueError, match="without labels"):
        KNNCallback(Videos(videos.paths), videos.test)


def test_floors_see_colour_and_motion():
    still = np.full((5, 16, 16, 3), 100, np.uint8)
    assert floors.thumbnail(still).shape == (192,) and (floors.thumbnail(still) == 100).all()
    assert (floors.difference(still) == 0).all() and (floors.difference(still[:1]) == 0).all()
    moving = still.copy()
    moving[::2, :2, :2] = 0
    assert floors.difference(moving)[:3].tolist() == [100.0] * 3
    assert floors.difference(moving)[3:].max() == 0
    a, b = floors.standardise(np.ones((1, 2)), np.array([[0.0, 5.0], [2.0, 5.0]]))
    assert np.isfinite(a).all() and np.isfinite(b).all()
    assert floors.nearest([[1.0], [9.0]], [[8.0], [0.0]], k=1).tolist() == [[1], [0]]


# The README's 1-NN numbers: thumbnail, difference.
@pytest.mark.parametrize(("name", "known"), [("tennis", (0.116, 0.304))])
def test_floors_of_the_real_clips_are_reproduced(shared, name, known):
    table = Videos.from_folder(shared / "data" / name)
    features, rows = floors.floor_features(table)
    train = table.splits[rows] == "train"
    labels = table.labels[rows]
    for floor, expected in zip(floors.FLOORS, known, strict=True):
        values = features[floor]
        (first,) = floors.nearest(values[~train], values[train], 1).T
        assert (labels[train][first] == labels[~train]).mean() == pytest.approx(expected, abs=0.02)
