"""Fixtures of the spectrogram transformers: AST, AudioMAE and its decoder's windowed block."""

import numpy as np
from keras import ops

from keras_vssl.convert import convert
from keras_vssl.convert.audio_vit import map_window_block
from keras_vssl.convert.vit import ViTMapping
from keras_vssl.layers import WindowBlock
from keras_vssl.layers.masking import hidden_count, hide_lowest
from keras_vssl.layers.patches import patchify
from keras_vssl.losses.pixels import masked_mse, patch_normalized
from tests.backends import to_numpy
from tests.parities import ParityError


def outputs(meta, weights, inputs, expected):
    config = meta["config"]
    if "feat" in config:
        return _window_block(config, weights, inputs)
    if "noise" in inputs:
        return _audiomae(config, weights, inputs)
    if "fstride" in config:
        return _ast(config, weights, inputs)
    raise ParityError(f"{meta['name']} is of no spectrogram transformer that is known here.")


def _ast(config, weights, inputs):
    model = convert(
        weights,
        stride=(config["tstride"], config["fstride"]),
        frames=config["time"],
        bands=config["mel"],
    ).model
    spectrogram = inputs["spectrogram"]
    return {
        "patches": to_numpy(model.backbone.endpoint("patches")(spectrogram)),
        "logits": to_numpy(model(spectrogram, training=False)),
    }


def _audiomae(config, weights, inputs):
    frames, bands = config["spec"]
    options = {"frames": frames, "bands": bands, "heads": config["heads"]}
    backbone = convert(weights, **options).model
    options["decoder_heads"] = config["dheads"]
    decoder = convert(weights, decoder_only=True, **options).model

    spectrogram, noise = inputs["spectrogram"][:, 0], inputs["noise"]
    patches = noise.shape[1]
    hidden = hidden_count(patches, float(inputs["mask_ratio"]))
    order = np.argsort(noise, axis=1)
    keep = order[:, : patches - hidden].astype("int32")
    mask = to_numpy(hide_lowest(ops.convert_to_tensor(-noise), hidden)).astype("float32")

    tokens = backbone.encode_tokens(backbone.embed_tokens(spectrogram, keep))
    prediction = decoder(tokens, keep)
    picture = ops.convert_to_tensor(spectrogram[:, None, :, :, None])
    target = patchify(picture, (1, *backbone.patch))
    errors = masked_mse(prediction, patch_normalized(target), mask)
    return {
        "encoder": to_numpy(tokens),
        "mask": mask,
        "ids_restore": np.argsort(order, axis=1),
        "decoder_sample": to_numpy(prediction)[:, :, ::7],
        "patches_sample": to_numpy(target)[:, :, ::7],
        "loss": np.mean(to_numpy(errors)),
        "pos_table": to_numpy(backbone.get_layer("token_embedding").table)[None],
        "decoder_pos_table": to_numpy(decoder.table)[None],
    }


def _window_block(config, weights, inputs):
    # The fixture's block was built alone, with PyTorch's epsilon; the decoder hands it 1e-6.
    block = WindowBlock(config["heads"], config["feat"], shift=config["shift"], epsilon=1e-5)
    block.build((None, *inputs["x"].shape[1:]))
    weights = {f"block.{name}": array for name, array in weights.items()}
    mapping = ViTMapping(weights)
    map_window_block(mapping, "block", block)
    mapping.place(weights, block)
    return {"y": to_numpy(block(inputs["x"], training=False))}
