"""Retrieval: both protocols, the clip starts, and the published implementations' counts."""

import numpy as np
import pytest

from keras_vssl.downstream import GalleryIndex, retrieval


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    gallery_labels = np.repeat(np.arange(6), 10)
    query_labels = np.repeat(np.arange(6), 4)
    centres = rng.normal(size=(6, 12))
    gallery = centres[gallery_labels] + rng.normal(size=(60, 12))
    query = centres[query_labels] + rng.normal(size=(24, 12))
    return query, gallery, query_labels, gallery_labels


@pytest.mark.parametrize(
    ("total", "starts"),
    [(16, [0] * 10), (160, list(range(0, 160, 16))), (15, [0] * 10), (1, [0] * 10)],
)
def test_uniform_starts_of_known_lengths(total, starts):
    assert retrieval.uniform_starts(total).tolist() == starts


def test_uniform_starts_include_both_ends_and_truncate():
    starts = retrieval.uniform_starts(100)
    assert starts[0] == 0 and starts[-1] == 84
    assert starts.dtype == np.int64 and (np.diff(starts) >= 0).all()


@pytest.mark.parametrize(
    ("total", "starts"), [(32, [0]), (33, [0]), (47, [0, 15]), (100, [0, 15, 30, 45, 60])]
)
def test_sliding_windows_of_known_lengths(total, starts):
    assert retrieval.sliding_windows(total)[:, 0].tolist() == starts


def test_sliding_window_of_a_short_video_repeats_its_first_frame():
    (window,) = retrieval.sliding_windows(20)
    assert window.tolist() == [0] * 12 + list(range(20))


def test_sliding_windows_stay_inside_the_video():
    for total in (1, 5, 63, 64, 65, 200):
        windows = retrieval.sliding_windows(total, frames=16, stride=4)
        assert windows.min() >= 0 and windows.max() < total and windows.shape[1] == 16


def test_sliding_windows_of_an_empty_video_say_what_is_wrong():
    with pytest.raises(ValueError, match="at least one frame, received 0"):
        retrieval.sliding_windows(0)


@pytest.mark.parametrize("centre", [False, True])
def test_a_gallery_finds_itself_at_every_k(features, centre):
    _, gallery, _, labels = features
    scores = retrieval.retrieval_scores(gallery, gallery, labels, labels, centre=centre)
    assert set(scores.values()) == {1.0}


def test_hits_grow_with_k_to_one(features):
    query, gallery, query_labels, gallery_labels = features
    scores = retrieval.retrieval_scores(
        query, gallery, query_labels, gallery_labels, ks=(1, 2, 5, 10, 60)
    )
    values = list(scores.values())
    assert values == sorted(values) and values[-1] == 1.0


def test_a_hit_is_not_divided_by_k():
    hits = retrieval.hit_at_k([[0, 1, 2, 3]], ["a"], ["b", "b", "a", "b"], ks=(1, 2, 3, 4))
    assert hits == {1: 0.0, 2: 0.0, 3: 1.0, 4: 1.0}


def test_scaling_a_video_leaves_protocol_a_unchanged(features):
    query, gallery, *_ = features
    scales = np.random.default_rng(1).uniform(0.01, 100, size=(len(gallery), 1))
    expected = retrieval.similarity(query, gallery)
    np.testing.assert_allclose(retrieval.similarity(query, gallery * scales), expected, atol=1e-5)
    np.testing.assert_allclose(retrieval.similarity(query * 7, gallery), expected, atol=1e-5)


def test_a_constant_added_to_the_queries_changes_a_but_not_b(features):
    query, gallery, *_ = features
    shifted = query + 5.0
    a, b = retrieval.similarity(query, gallery), retrieval.similarity(query, gallery, centre=True)
    assert np.abs(retrieval.similarity(shifted, gallery) - a).max() > 0.1
    np.testing.assert_allclose(retrieval.similarity(shifted, gallery, centre=True), b, atol=1e-5)


def test_blocks_do_not_change_the_neighbours(features):
    query, gallery, *_ = features
    whole, values = retrieval.neighbours(query, gallery, 7)
    parts, part_values = retrieval.neighbours(query, gallery, 7, block=5)
    np.testing.assert_array_equal(whole, parts)
    np.testing.assert_allclose(values, part_values, atol=1e-6)
    np.testing.assert_allclose(
        values[:, 0], retrieval.similarity(query, gallery).max(axis=1), atol=1e-6
    )


def test_ties_go_to_the_earlier_video_and_zeros_do_not_divide():
    gallery = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    indices, values = retrieval.neighbours(np.array([[3.0, 0.0]]), gallery, 50)
    assert indices.tolist() == [[0, 1, 2]] and np.isfinite(values).all()


@pytest.mark.parametrize(("count", "queries", "k"), [(10, 3, 10), (9000, 40, 7), (4100, 1, 4098)])
def test_a_gallery_in_blocks_gives_the_order_of_a_whole_sort(count, queries, k):
    rng = np.random.default_rng(2)
    draw = [np.round(rng.normal(size=(n, 4)), 1).astype("float32") for n in (count, queries)]
    gallery, query = draw  # coarse: many ties
    gallery[5] = np.nan
    gallery = gallery[np.argsort(gallery[:, 0])]  # later blocks are nothing but candidates
    products = query @ gallery.T
    expected = np.argsort(-products, axis=1, kind="stable")[:, :k]
    rows, values = retrieval.largest_products(query, gallery, k)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(products, expected, axis=1))


@pytest.mark.parametrize("centre", [False, True])
def test_an_index_answers_like_a_comparison_with_everything(centre):
    rng = np.random.default_rng(3)
    gallery, query = rng.normal(size=(3000, 16)) + 1, rng.normal(size=(20, 16)) + 1
    expected, similarities = retrieval.neighbours(query, gallery, 10, centre)
    rows, values = GalleryIndex(gallery, "exact", centre).neighbours(query, 10)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(values, similarities, atol=1e-6)
    with pytest.raises(ValueError, match="of 16 values like the gallery, received 4"):
        GalleryIndex(gallery).neighbours(query[:, :4])
    pytest.importorskip("faiss")
    recalls = []
    for probes in (1, 1000):
        index = GalleryIndex(gallery, "approximate", centre, probes)
        rows, values = index.neighbours(query, 10)
        recalls.append(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, expected)]))
    assert recalls[0] < 0.8 and recalls[1] == 1.0  # of all cells nothing is left out
    np.testing.assert_allclose(values, similarities, atol=1e-6)


def test_clip_features_must_be_averaged_first():
    with pytest.raises(ValueError, match="average the clips first"):
        retrieval.similarity(np.ones((2, 10, 3)), np.ones((2, 10, 3)))


def test_labels_and_neighbours_must_agree_in_number():
    with pytest.raises(ValueError, match=r"one label a query \(2\), received 1"):
        retrieval.hit_at_k([[0], [0]], ["a"], ["a"])


def test_published_implementations_are_reproduced(shared):
    values = np.load(shared / "goldens" / "eval_retrieval.npz")
    labels = values["in.query_labels"], values["in.gallery_labels"]
    for name, centre in (("vcop", False), ("coclr", True)):
        query = retrieval.video_features(values["in.query"], normalise_clips=centre)
        gallery = retrieval.video_features(values["in.gallery"], normalise_clips=centre)
        similarity = retrieval.similarity(query, gallery, centre)
        if centre:
            np.testing.assert_allclose(similarity, values["out.coclr.similarity"], atol=1e-5)
        else:
            np.testing.assert_allclose(1 - similarity, values["out.vcop.distance"], atol=1e-5)
        scores = retrieval.retrieval_scores(query, gallery, *labels, centre=centre)
        hits = [round(share * len(query)) for share in scores.values()]
        assert hits == values[f"out.{name}.hits"].tolist()
    starts = [retrieval.uniform_starts(total) for total in values["in.lengths"]]
    np.testing.assert_array_equal(starts, values["out.vcop.starts"])
    for total in values["in.sliding_lengths"]:
        np.testing.assert_array_equal(
            retrieval.sliding_windows(total), values[f"out.coclr.frames.{total}"]
        )
