"""Two streams vote, and are saved as one network."""

import keras
import numpy as np
import pytest

from keras_vssl.downstream import TwoStream, VideoClassifier
from tests.backends import to_numpy
from tests.contract import CLIP, Shallow


def test_two_stream_logits_are_the_sum_of_the_streams(tmp_path):
    keras.utils.set_random_seed(0)
    random = np.random.RandomState(0)
    streams, clips = {}, {}
    for name, channels in (("rgb", 3), ("flow", 2)):
        shape = (None, None, None, channels)
        backbone = Shallow(4, shape, clip=CLIP)
        streams[name] = VideoClassifier(backbone, num_classes=5)
        clips[name] = random.uniform(-1, 1, (2, 1, 4, 16, 16, channels)).astype("float32")
    logits = [to_numpy(streams[name](clips[name], training=False)) for name in streams]
    network = TwoStream(**streams)
    assert np.ptp(logits[0]) > 1e-2 and np.ptp(logits[1]) > 1e-2
    np.testing.assert_allclose(to_numpy(network(clips, training=False)), sum(logits), atol=1e-6)
    network.save(tmp_path / "two_stream.keras")
    loaded = keras.saving.load_model(tmp_path / "two_stream.keras")
    np.testing.assert_allclose(to_numpy(loaded(clips, training=False)), sum(logits), atol=1e-5)
    mean = to_numpy(TwoStream(**streams, reduce="softmax")(clips, training=False))
    probabilities = [np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in logits]
    np.testing.assert_allclose(mean, sum(probabilities) / 2, atol=1e-6)
    with pytest.raises(ValueError, match="same classes"):
        TwoStream(streams["rgb"], VideoClassifier(streams["flow"].backbone, num_classes=6))
    with pytest.raises(ValueError, match='keys "rgb" and "flow"'):
        network(clips["rgb"])
