"""The loss and the sampler of CVRL."""

import numpy as np
from keras import ops

from keras_vssl.losses.contrastive import nt_xent, unit
from keras_vssl.tasks.contrastive.cvrl import NearbyClips
from tests import backends
from tests.parities import ParityError


def outputs(meta, weights, inputs, expected):
    if "hidden" in inputs:
        return _loss(inputs["hidden"], meta["config"]["temperature"])
    if "u" in inputs:
        return _clips(inputs, expected, meta["config"]["power"])
    raise ParityError(f"{meta['name']} holds neither embeddings nor draws.")


def _loss(hidden, temperature):
    half = len(hidden) // 2
    value, (gradient,) = backends.value_and_grad(
        lambda h: ops.mean(nt_xent(h[:half], h[half:], temperature)), hidden
    )
    first, second = unit(hidden[:half]), unit(hidden[half:])
    scores = backends.to_numpy(ops.matmul(first, ops.transpose(second))) / temperature
    share = np.exp(scores - scores.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    return {
        "loss": np.asarray(value),
        "grad": gradient,
        "contrast_acc": np.mean(scores.argmax(axis=1) == np.arange(half)),
        "contrast_entropy": -np.mean(np.sum(share * np.log(share + 1e-8), axis=1)),
    }


class _Zero:
    """A generator whose integers are all 0, as the fixture forced them."""

    def integers(self, low, high, size=None):
        return 0 if size is None else np.zeros(size, int)


def _clips(inputs, expected, power):
    got = {name: np.full_like(value, -1) for name, value in expected.items()}
    rows = zip(inputs["length"], inputs["frames"], inputs["stride"], inputs["u"])
    for row, (total, frames, stride, u) in enumerate(rows):
        sampler = NearbyClips(int(frames), int(stride), power)
        offsets = sampler.offsets(int(total), float(u), _Zero())
        got["delta"][row] = offsets[1] - offsets[0]
        for name, offset in zip(("first", "second"), offsets):
            clip = sampler.fill(offset + stride * np.arange(frames), int(total))
            got[name][row, :frames] = clip
    return got
