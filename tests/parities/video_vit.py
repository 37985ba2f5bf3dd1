"""Fixtures of the video vision transformers: VideoMAE, VideoMAE V2 and TimeSformer."""

import keras
import numpy as np
from keras import ops

from keras_vssl.convert import convert
from keras_vssl.layers import masking
from keras_vssl.losses.pixels import channel_normalized, masked_mse
from tests import backends
from tests.backends import to_numpy
from tests.parities import ParityError


def outputs(meta, weights, inputs, expected):
    config = meta["config"]
    clips = _clips(inputs)
    options = {
        "heads": _of(config, "encoder_num_heads", "num_attention_heads", "num_heads", "heads")
    }
    if "time_embed" in weights:
        model = convert(weights, **options).model
        features = to_numpy(ops.mean(model.backbone(clips, training=False), axis=(1, 2, 3)))
        return {"features": features, "logits": to_numpy(model(clips[:, None], training=False))}
    options |= {"clip_shape": clips.shape[1:]}
    if "logits" in expected and "features" in expected:
        return _classifier(convert(weights, **options).model, clips)
    mask = _of(inputs, "mask", "encoder_mask").astype(bool)
    task = convert(
        weights,
        decoder_heads=_of(config, "decoder_num_heads", "decoder_num_attention_heads"),
        ratio=float(mask.mean()),
        **options,
    ).model
    got = _pretraining(task, clips, mask, inputs.get("decoder_mask"))
    if "running_cell_maps" in expected:
        grid = tuple(int(n) for n in inputs["grid"])
        cells = to_numpy(masking.running_cell_mask(grid, ops.arange(4)))
        got["running_cell_maps"] = cells.reshape(4, grid[0], -1)
    return {name: got[name] for name in expected if name in got}


def _classifier(model, clips):
    backbone = model.backbone
    tensors = {"tokens": backbone.endpoints["embedded"], "block0": backbone.endpoints["block1"]}
    maps = keras.Model(backbone.inputs[0], tensors)(clips, training=False)
    pooled = ops.mean(backbone(clips, training=False), axis=(1, 2, 3))
    return {
        **{name: to_numpy(value) for name, value in maps.items()},
        "features": to_numpy(model.layer_norm(pooled)),
        "logits": to_numpy(model(clips[:, None], training=False)),
    }


def _pretraining(task, clips, mask, left_out):
    """All that the fixtures of pre-training hold, under all of their names."""
    x, hidden = ops.convert_to_tensor(clips), ops.convert_to_tensor(mask)
    left_out = None if left_out is None else ops.convert_to_tensor(left_out.astype(bool))
    visible, _ = masking.split_indices(hidden, task.hidden)
    found = task.predict_hidden(x, hidden, left_out, training=False)
    target = channel_normalized(masking.gather_tokens(task.patches(x), found["index"]))
    loss, (gradient,) = backends.value_and_grad(
        lambda p: ops.mean(masked_mse(p, target, found["weight"])), to_numpy(found["prediction"])
    )
    reported = task.compute_loss(x=x[:, None], y_pred=found)
    if abs(float(to_numpy(reported)) - loss) > 1e-6:
        raise ParityError("The task's loss is not the mean squared error on its targets.")
    prediction = to_numpy(found["prediction"])
    return {
        "patch_embed": to_numpy(task.backbone.get_layer("patch_embed")(x)),
        "encoder": to_numpy(task.encode_visible(x, visible)),
        "decoder": prediction,
        "logits": prediction,
        "decoder_sample": prediction[:, :, ::5],
        "target_sample": to_numpy(target)[:, ::7, ::11],
        "grad_pred_sample": gradient[:, ::7, ::11],
        "loss": np.asarray(loss),
        "counted": to_numpy(ops.sum(found["weight"])),
    }


def _clips(inputs):
    """`[B, T, H, W, C]` from either of the sources' layouts."""
    if "pixel_values" in inputs:
        return np.moveaxis(inputs["pixel_values"], 2, -1)
    return np.moveaxis(inputs["video"], 1, -1)


def _of(values, *names):
    return next(values[name] for name in names if name in values)
