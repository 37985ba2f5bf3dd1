"""Position tables have the published values; the layers add them."""

import importlib.util
import math

import keras
import numpy as np
import pytest

from keras_vssl.layers import ClassToken, FixedPositions, LearnedPositions
from keras_vssl.layers import positions as p
from tests import backends


def goldens(shared, name):
    spec = importlib.util.spec_from_file_location("golden", shared / "goldens" / "fixture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load(shared / "goldens" / name)[3]


def test_the_sinusoid_is_interleaved_and_exact():
    table = p.sinusoid(1568, 768)
    assert table.dtype == np.float32 and table.shape == (1568, 768)
    assert np.array_equal(table[0], np.tile([0.0, 1.0], 384).astype("float32"))
    for row, column in ((1, 0), (1567, 1), (1500, 301), (900, 766)):
        angle = row / 10000 ** (2 * (column // 2) / 768)
        want = math.cos(angle) if column % 2 else math.sin(angle)
        assert abs(table[row, column] - want) < 1e-7, (row, column)


def test_the_tables_are_those_of_vjepa_and_mavil(shared):
    vjepa = goldens(shared, "vjepa-v1-sincos")
    mavil = goldens(shared, "mavil-ft")
    tables = {
        "pos_embed_table": p.sine_cosine_3d((4, 4, 4), 64)[None],
        "predictor_pos_embed_table": p.sine_cosine_3d((4, 4, 4), 24)[None],
        "table_uniform_d32": p.sine_cosine_3d((2, 3, 3), 32),
        "table_uneven_d32": p.sine_cosine_3d((2, 3, 3), 32, "time_half"),
    }
    for name, table in tables.items():
        assert np.abs(table - vjepa[name]).max() < 1e-6, name
    video = p.sine_cosine_3d((2, 2, 2), 48, "time_quarter", class_token=True)
    assert np.abs(video - mavil["table_video"]).max() < 1e-6
    audio = p.sine_cosine_2d((4, 2), 48, class_token=True)
    assert np.abs(audio - mavil["table_audio"]).max() < 1e-6


def test_the_first_half_of_a_plane_is_the_column():
    table = p.sine_cosine_2d((2, 3), 16)
    assert np.array_equal(table[0, :8], table[3, :8]), "same column"
    assert np.array_equal(table[0, 8:], table[2, 8:]), "same row"
    assert np.allclose(table[1, 0], math.sin(1)) and np.allclose(table[3, 8], math.sin(1))
    assert np.array_equal(p.sine_cosine_3d((2, 2, 2), 12)[0], np.tile([0, 0, 1, 1], 3))


def test_widths_that_do_not_divide_are_refused():
    for make in (
        lambda: p.sine_cosine_2d((2, 2), 10),
        lambda: p.sine_cosine_3d((2, 2, 2), 50, "time_half"),
        lambda: p.sine_cosine_3d((2, 2, 2), 12, "rows"),
        lambda: FixedPositions("cosine", (2, 2), 8),
    ):
        with pytest.raises(ValueError, match="Expected|shared"):
            make()


def test_fixed_positions_are_no_weight():
    layer = FixedPositions("sinusoid", (2, 2), 8)
    assert np.array_equal(backends.run(layer, np.zeros((1, 4, 8), "float32"))[0], p.sinusoid(4, 8))
    assert not layer.weights
    copy = FixedPositions.from_config(layer.get_config())
    assert np.array_equal(copy.table, layer.table)
    with_class = FixedPositions("sine_cosine_2d", (2, 2), 8, class_token=True)
    assert not with_class.table[0].any() and with_class.table.shape == (5, 8)


def test_learned_space_and_time_are_added_but_for_the_class_token():
    layer = LearnedPositions(times=2, class_token=True, initializer="random_normal")
    layer.build((None, 7, 4))
    layer.time.assign(np.arange(8).reshape(2, 4))
    space, time = backends.to_numpy(layer.space), backends.to_numpy(layer.time)
    assert space.shape == (4, 4)
    table = backends.run(layer, np.zeros((1, 7, 4), "float32"))[0]
    assert np.array_equal(table[0], space[0])
    for slot in range(2):
        rows = table[1 + 3 * slot : 4 + 3 * slot]
        assert np.allclose(rows, space[1:] + time[slot])
    copy = LearnedPositions.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    with pytest.raises(ValueError, match="equally many"):
        LearnedPositions(times=4).build((None, 7, 4))


def interpolated(row, size, method):
    """One axis by its definition, sample after sample."""
    got = []
    for index in range(size):
        place = (index + 0.5) * len(row) / size - 0.5
        if method == "nearest":
            got.append(row[int(index * len(row) / size)])
            continue
        if method == "linear":
            place = max(place, 0.0)
        below, value = math.floor(place), 0.0
        for tap in range(below - 1, below + 3):
            distance = abs(place - tap)
            if method == "linear":
                weight = max(0.0, 1 - distance)
            elif distance <= 1:
                weight = 1.25 * distance**3 - 2.25 * distance**2 + 1
            else:
                weight = -0.75 * (distance**3 - 5 * distance**2 + 8 * distance - 4)
            value = value + weight * row[min(max(tap, 0), len(row) - 1)]
        got.append(value)
    return np.array(got)


@pytest.mark.parametrize("method", ("nearest", "linear", "cubic"))
@pytest.mark.parametrize("size", [3, 5, 8])
def test_a_table_is_interpolated_axis_by_axis(method, size):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(1 + 2 * 5, 3)).astype("float32")
    got = p.resize_table(table, (2, 5), (2, size), 1, method)
    assert np.array_equal(got[0], table[0])
    for row in range(2):
        want = interpolated(table[1 + 5 * row : 6 + 5 * row], size, method)
        assert np.abs(got[1 + size * row : 1 + size * (row + 1)] - want).max() < 1e-6
    flat = p.resize_table(np.ones((5, 3)), (5,), (size,), 0, method)
    assert np.abs(flat - 1).max() < 1e-6, "a constant stays"
    assert np.array_equal(p.resize_table(table, (2, 5), (2, 5), 1, method), table)


def test_a_table_of_another_grid_is_refused():
    for arguments in (((9, 4), (2, 4), (2, 5)), ((8, 4), (2, 4), (8,))):
        with pytest.raises(ValueError, match="received one of shape"):
            p.resize_table(np.zeros(arguments[0]), *arguments[1:])
    with pytest.raises(ValueError, match="methods"):
        p.resize_table(np.zeros((8, 4)), (2, 4), (2, 5), methods="area")


def test_the_class_token_comes_first():
    keras.utils.set_random_seed(0)
    layer = ClassToken()
    tokens = np.ones((3, 2, 4), "float32")
    seen = backends.run(layer, tokens)
    assert seen.shape == (3, 3, 4) and np.array_equal(seen[:, 1:], tokens)
    assert np.array_equal(seen[:, 0], np.repeat(backends.to_numpy(layer.token), 3, axis=0))
