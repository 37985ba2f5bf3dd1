"""A collapsed embedding is named once, when it happens."""

import keras
import numpy as np
from keras import ops

from keras_vssl.callbacks import Collapse
from keras_vssl.data.samplers import Clips
from keras_vssl.tasks.joint_embedding import JointEmbedding
from tests.contract import nano


class Pairs(JointEmbedding):
    """Embeds two clips; `scale` 0 gives every clip the same embedding."""

    def __init__(self, backbone, scale=1.0, **kwargs):
        super().__init__(backbone, sampler=Clips(4, count=2), logged=("pull",), **kwargs)
        self.scale = scale
        self.compile(keras.optimizers.SGD(0.0))

    def call(self, inputs, training=None):
        features = self.encode(self.clips(inputs), training=training)
        return self.scale * features + (1.0 - self.scale)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        pull = ops.mean(ops.square(y_pred[:, 0] - y_pred[:, 1]))
        self.track({"pull": pull}, y_pred[:, 0], y_pred[:, 1])
        return pull


CLIPS = np.random.default_rng(0).integers(0, 256, (4, 2, 4, 16, 16, 3), dtype=np.uint8)


def test_the_spread_is_logged_and_nothing_is_said_about_a_healthy_one(capsys):
    task = Pairs(nano())
    history = task.fit(CLIPS, batch_size=4, epochs=1, verbose=0).history
    assert {"loss", "pull", "feature_std", "alignment", "uniformity"} <= set(history)
    assert history["feature_std"][0] > 0.05
    assert "collapsed" not in capsys.readouterr().err


def test_a_collapse_is_named_once(capsys):
    watch = Collapse()
    Pairs(nano(), scale=0.0).fit(CLIPS, batch_size=4, epochs=3, verbose=0, callbacks=[watch])
    said = capsys.readouterr().err
    assert said.count("The embedding has collapsed: after epoch 1") == 1
    assert watch.collapsed_at == 0


def test_the_policy_of_batch_normalisation_is_stated():
    assert JointEmbedding.batch_normalization in ("local", "synchronized", "shuffled")
