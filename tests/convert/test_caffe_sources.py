"""CaffeNets of the early methods become backbones and heads, from files as Caffe writes them."""

import numpy as np
import pytest

from keras_vssl.backbones import CaffeNet
from keras_vssl.convert import ConvertError, caffenet, convert, opn, shuffle_learn
from keras_vssl.convert import tracking_triplet as tracking
from tests.backends import to_numpy
from tests.convert import caffe_files
from tests.convert.check import check_format

CHANNELS = (4, 8, 6, 8, 4)
NORMS_OF_CONVOLUTIONS = ("batch_norm_3", "batch_norm_4", "batch_norm_5")
FRAMES = np.random.RandomState(5).normal(0, 50, (2, 1, 80, 80, 3)).astype("float32")


class Blobs:
    """The blobs of a network, layer by layer."""

    def __init__(self):
        self.random = np.random.RandomState(0)
        self.state = {}

    def layer(self, name, *shape, fan_in=None):
        fan_in = fan_in or int(np.prod(shape[1:]))
        kernel = self.random.normal(0, fan_in**-0.5, shape)
        self._add(name, kernel, self.random.normal(0, 0.1, shape[0]))

    def norm(self, name, width, factor):
        mean, variance = self.random.normal(size=width), self.random.uniform(0.5, 2, width)
        self._add(name, factor * mean, factor * variance, np.array([factor]))

    def scale(self, name, width):
        self._add(name, self.random.uniform(0.5, 2, width), self.random.normal(size=width))

    def _add(self, name, *arrays):
        for index, array in enumerate(arrays):
            self.state[f"{name}.{index}"] = array.astype("float32")


def network(dense, norm="", scale="", channels=CHANNELS, side=2):
    """A CaffeNet's blobs; the statistics of layer n are stored n times too large."""
    blobs, before = Blobs(), 3
    sizes = ((11, 1), (5, 2), (3, 1), (3, 2), (3, 2))
    for number, (width, (size, groups)) in enumerate(zip(channels, sizes), start=1):
        blobs.layer(f"conv{number}", width, before // groups, size, size)
        before = width
        if norm and number > 2:
            blobs.norm(norm.format(number), width, float(number))
            if scale:
                blobs.scale(scale.format(number), width)
    before *= side * side
    for number, (name, width) in enumerate(dense.items(), start=6):
        blobs.layer(name, width, before)
        before = width
        if norm:
            blobs.norm(norm.format(number), width, float(number))
            if scale:
                blobs.scale(scale.format(number), width)
    return blobs


def shuffle_learn_blobs():
    blobs = network({"fc6": 10, "fc7": 6}, "batch_norm_{}")
    blobs.layer("fc8_tri", 2, 18)
    return blobs.state


def opn_blobs(is_normalized=True, copies=6):
    norms = ("bn{}", "scale{}") if is_normalized else ()
    blobs = network({"fc6_tp": 6}, *norms)
    blobs.layer("fc7_suborder_1", 5, 12)
    blobs.layer("fc8_tp", 12, 30)
    if is_normalized:
        blobs.norm("bn7_1", 5, 2.0)
        for pair in range(1, 7):
            blobs.scale(f"scale7_{pair}", 5)
    for name in [n for n in blobs.state if n.startswith(("fc7_suborder_1.", "bn7_1."))]:
        for copy in range(2, copies + 1):
            blobs.state[name.replace("_1.", f"_{copy}.")] = blobs.state[name]
    return blobs.state


def tracking_blobs():
    return network({"fc6": 10, "fc7": 6}).state


CASES = {
    "shuffle_learn": (shuffle_learn_blobs, "batch_norm_4.1", (10, 6)),
    "opn": (opn_blobs, "scale5.1", (6,)),
    "tracking_triplet": (tracking_blobs, "fc7.1", (10, 6)),
}


@pytest.mark.parametrize("form", ["new", "v1", "legacy"])
@pytest.mark.parametrize("source", CASES)
def test_a_file_becomes_its_network(tmp_path, source, form):
    make, victim, dense = CASES[source]
    save = caffe_files.caffemodel(form)
    model = check_format(make(), source, tmp_path, save, FRAMES, victim)
    assert type(model) is CaffeNet
    assert model.channels == CHANNELS and model.dense == dense and model.dense_shape == (2, 2)


@pytest.mark.parametrize(
    "make, victim", [(shuffle_learn_blobs, "fc8_tri.1"), (opn_blobs, "scale7_3.0")]
)
def test_the_head_is_a_part_of_the_file(tmp_path, make, victim):
    source = "opn" if make is opn_blobs else "shuffle_learn"
    save = caffe_files.caffemodel()
    members = 4 if make is opn_blobs else 3
    features = np.random.RandomState(1).normal(size=(2, members, 6)).astype("float32")
    head = check_format(make(), source, tmp_path, save, features, victim, part="head")
    assert head(features).shape == (2, 12 if make is opn_blobs else 2)
    names = ("fc8", "fc7_", "bn7_", "scale7_")
    alone = convert({n: a for n, a in make().items() if n.startswith(names)}).model
    np.testing.assert_array_equal(to_numpy(alone(features)), to_numpy(head(features)))


def test_conv1_takes_red_green_blue():
    state = tracking_blobs()
    layer = convert(state).model.get_layer("conv1")
    expected = state["conv1.0"][:, ::-1].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(to_numpy(layer.kernel), expected)


def test_fc6_reads_its_map_in_the_order_channel_height_width():
    state = tracking_blobs()
    layer = convert(state).model.get_layer("fc6")
    pooled = np.random.RandomState(3).normal(size=(1, 2, 2, 4)).astype("float32")
    flat = np.moveaxis(pooled, -1, 1).reshape(1, -1)
    expected = flat @ state["fc6.0"].T + state["fc6.1"]
    np.testing.assert_allclose(to_numpy(layer(pooled))[0, 0], expected, rtol=1e-4, atol=1e-5)


def test_kernels_go_to_keras_and_back_without_loss():
    state = tracking_blobs()
    backbone = convert(state).model
    for number in range(2, 6):
        kernel = to_numpy(backbone.get_layer(f"conv{number}").kernel)
        np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), state[f"conv{number}.0"])
    fc7 = to_numpy(backbone.get_layer("fc7").kernel)[0, 0]
    np.testing.assert_array_equal(fc7.T, state["fc7.0"])


@pytest.mark.parametrize("factor, share", [(2.0, 0.5), (0.0, 0.0), (0.999, 1 / 0.999)])
def test_statistics_are_divided_by_their_factor(factor, share):
    state = shuffle_learn_blobs()
    state["batch_norm_4.2"] = np.array([factor], "float32")
    norm = convert(state).model.get_layer("bn4")
    for index, variable in ((0, norm.moving_mean), (1, norm.moving_variance)):
        expected = state[f"batch_norm_4.{index}"] * share
        np.testing.assert_allclose(to_numpy(variable), expected, rtol=1e-6)


@pytest.mark.parametrize("make", [shuffle_learn_blobs, opn_blobs])
def test_folded_normalisation_is_a_plain_network_of_equal_outputs(make):
    normalized, folded = convert(make()).model, convert(make(), fold=True).model
    assert normalized.batch_normalization and not folded.batch_normalization
    for name in ("conv3", "conv5", "fc6"):
        got = to_numpy(folded.endpoint(name)(FRAMES))
        expected = to_numpy(normalized.endpoint(name)(FRAMES))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(got / scale, expected / scale, atol=1e-5)
    state = make()
    victim = "batch_norm_6.0" if make is shuffle_learn_blobs else "scale6.0"
    with pytest.raises(ConvertError, match=f"lacks {victim}"):
        convert({n: a for n, a in state.items() if n != victim}, fold=True)
    with pytest.raises(ConvertError, match=victim):
        convert({**state, victim: state[victim][:-1]}, fold=True)


def test_an_opn_without_batch_normalisation():
    backbone = convert(opn_blobs(is_normalized=False)).model
    assert not backbone.batch_normalization
    head = convert(opn_blobs(is_normalized=False), part="head").model
    assert head.norm is None and not head.gains


def test_copies_of_what_pairs_share_have_to_be_equal():
    assert convert(opn_blobs(copies=1), part="head").model.hidden == 5
    state = opn_blobs()
    state["fc7_suborder_3.0"] = state["fc7_suborder_3.0"] + 1
    with pytest.raises(ConvertError, match=r"fc7_suborder_3\.0 differs from fc7_suborder_1\.0"):
        convert(state, part="head")


def test_an_ungrouped_network_is_refused():
    state = tracking_blobs()
    state["conv2.0"] = np.zeros((8, 4, 5, 5), "float32")
    with pytest.raises(ConvertError, match=r"conv2\.0 takes 4 channels; expected 2"):
        convert(state)


@pytest.mark.parametrize("absent", ["fc6.0", "conv4.0", "batch_norm_7.2", "batch_norm_5.0"])
def test_a_blob_from_which_sizes_are_read_is_named_when_absent(absent):
    state = shuffle_learn_blobs()
    del state[absent]
    with pytest.raises(ConvertError, match=absent):
        convert(state, format="shuffle_learn")
    # The convolutions alone are what the method transfers.
    alone = {n: a for n, a in state.items() if n.startswith(("conv", *NORMS_OF_CONVOLUTIONS))}
    if absent in ("fc6.0", "batch_norm_7.2"):
        assert convert(alone).model.dense == ()


def test_what_can_not_be_read_from_shapes_is_asked_for():
    state = network({"fc6": 10, "fc7": 6}, side=1).state
    state["fc6.0"] = np.zeros((10, 4 * 2 * 3), "float32")
    with pytest.raises(ConvertError, match=r"no square map of 4 channels; give dense_shape"):
        convert(state)
    assert convert(state, dense_shape=(2, 3)).model.dense_shape == (2, 3)
    with pytest.raises(ConvertError, match="Expected part to be one of backbone, head"):
        convert(opn_blobs(), part="tail")


def test_what_the_authors_publish_is_listed():
    listed = [c for module in (shuffle_learn, opn, tracking) for c in module.CHECKPOINTS]
    assert len({c.name for c in listed}) == len(listed) == 5
    assert caffenet.is_caffenet(tracking_blobs())
