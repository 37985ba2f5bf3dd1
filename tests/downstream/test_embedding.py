"""Embedding: shapes, the mean over clips, batches, and bad files."""

import keras
import numpy as np
import pytest

from keras_vssl.data import Videos, read_plan
from keras_vssl.downstream.embedding import pool
from keras_vssl.downstream.streaming import uniform_clips


def test_one_path_gives_one_vector_and_a_list_gives_rows(backbone, videos):
    one = backbone.embed(videos.paths[0])
    two = backbone.embed(videos.paths[:2])
    assert one.shape == (backbone.feature_dim,) and one.dtype == np.float32
    assert two.shape == (2, backbone.feature_dim)
    np.testing.assert_allclose(two[0], one, rtol=1e-5, atol=1e-6)


def test_feature_is_the_mean_over_the_clips_of_the_pooled_map(backbone, videos):
    sampler = uniform_clips(backbone.clip, 10)
    clips = read_plan(videos.paths[3], sampler.plan(videos.infos[3], None))["clips"]
    maps = keras.ops.convert_to_numpy(backbone(clips, training=False))
    got = backbone.embed(videos.paths[3], pooling=("average", "retrieval"), batch_size=7)
    np.testing.assert_allclose(got["average"], maps.mean(axis=(0, 1, 2, 3)), atol=1e-5)
    pooled = maps[:, :, :2, :2].max(axis=(2, 3)).reshape(10, -1).mean(axis=0)
    np.testing.assert_allclose(got["retrieval"], pooled, atol=1e-5)
    kept = backbone.embed(videos.paths[3], per_clip=True)
    np.testing.assert_allclose(kept, maps.mean(axis=(1, 2, 3)), atol=1e-5)


def test_batch_size_does_not_change_features(backbone, videos):
    small = backbone.embed(videos[:5], clips=3, batch_size=2)
    large = backbone.embed(videos[:5], clips=3, batch_size=64)
    np.testing.assert_allclose(small, large, rtol=1e-5, atol=1e-6)


def test_a_file_holds_what_memory_would(backbone, videos, tmp_path):
    paths = [*videos.paths[:3], str(tmp_path / "absent.mp4"), videos.paths[3]]
    out, options = tmp_path / "features.npy", {"clips": 2, "return_rows": True}
    expected, rows = backbone.embed(Videos(paths), **options)
    got, same = backbone.embed(Videos(paths), **options, out=out)
    assert isinstance(got, np.memmap) and same.tolist() == rows.tolist() == [0, 1, 2, 4]
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.load(out), expected)
    out.unlink()
    with pytest.raises(ValueError, match="at least one readable"):
        backbone.embed(Videos([str(tmp_path / "absent.mp4")]), out=out)
    assert [path.name for path in tmp_path.iterdir()] == []  # whole or absent
    with pytest.raises(ValueError, match="a list of videos and one pooling"):
        backbone.embed(videos.paths[0], out=out)


def test_retrieval_pooling_of_16x112x112_is_9216_values():
    feature_map = np.random.default_rng(0).normal(size=(1, 2, 7, 7, 512)).astype("float32")
    pooled = keras.ops.convert_to_numpy(pool(feature_map, "retrieval"))
    assert pooled.shape == (1, 9216)
    expected = feature_map[:, :, :6, :6].reshape(1, 2, 3, 2, 3, 2, 512).max(axis=(3, 5))
    np.testing.assert_array_equal(pooled, expected.reshape(1, -1))


def test_retrieval_pooling_of_a_map_without_extent_takes_what_there_is():
    feature_map = np.random.default_rng(0).normal(size=(2, 1, 1, 3, 5)).astype("float32")
    assert pool(feature_map, "retrieval").shape == (2, 5)
    assert pool(feature_map[:, 0, 0, 0], "average").shape == (2, 5)  # fully connected features


def test_embedding_leaves_the_backbone_as_it_was(backbone, videos, tmp_path):
    before = backbone.get_weights()
    backbone.embed(videos[:2], clips=2)
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    backbone.save_to_preset(tmp_path / "preset")  # the compiled function is not saved with it
    again = type(backbone).from_preset(str(tmp_path / "preset"))
    np.testing.assert_allclose(
        again.embed(videos.paths[0]), backbone.embed(videos.paths[0]), rtol=1e-5, atol=1e-6
    )


def test_changed_weights_change_the_embedding(backbone, videos):
    before = backbone.embed(videos.paths[0])
    backbone.set_weights([w * 1.5 for w in backbone.get_weights()])
    assert np.abs(backbone.embed(videos.paths[0]) - before).max() > 1e-3


def test_a_short_video_is_looped(backbone, videos):
    backbone.clip["frames"] = 32
    sampler = uniform_clips(backbone.clip, 10)
    plan = sampler.plan(videos.infos[0], None)
    assert plan.views[0].frames.tolist() == [*range(20), *range(12)]
    assert np.isfinite(backbone.embed(videos.paths[0], clips=2)).all()


def test_an_unreadable_path_raises_one_sentence(backbone, videos, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a video")
    with pytest.raises(ValueError, match=r"bad\.mp4 can't be used: "):
        backbone.embed([videos.paths[0], str(bad)])
    with pytest.raises(ValueError, match=r"absent\.mp4 can't be used: "):
        backbone.embed(str(tmp_path / "absent.mp4"))
    with pytest.raises(ValueError, match="empty list"):
        backbone.embed([])
    with pytest.raises(ValueError, match="path, a list of paths or a Videos, received int"):
        backbone.embed(3)


def test_unreadable_files_of_a_table_are_left_out_and_said(backbone, videos, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a video")
    truncated = tmp_path / "half.mp4"
    with open(videos.paths[0], "rb") as file:
        truncated.write_bytes(file.read()[:2000])
    table = Videos([videos.paths[0], str(bad), videos.paths[1], str(truncated)])
    skipped = []
    features, rows = backbone.embed(table, clips=2, return_rows=True, skipped=skipped)
    assert rows.tolist() == [0, 2] and features.shape == (2, backbone.feature_dim)
    assert [s["path"] for s in skipped] == [str(bad), str(truncated)]
    assert "Left out 2 of 4 videos, the first" in capsys.readouterr().err
    with pytest.raises(ValueError, match="none of 1 is"):
        backbone.embed(Videos([str(bad)]))


def test_unknown_pooling_is_named(backbone, videos):
    with pytest.raises(ValueError, match='"average", "retrieval" or a function'):
        backbone.embed(videos.paths[0], pooling="max")
