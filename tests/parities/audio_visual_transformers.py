"""Fixtures of the transformers of audio-visual methods: XKD, MAViL, LAVISH."""

import numpy as np
from keras import ops

from keras_vssl.convert import convert, lavish
from keras_vssl.convert.vit import ViTMapping
from keras_vssl.layers import LatentAdapter
from keras_vssl.layers.positions import sine_cosine_3d
from keras_vssl.layers.tokens import fixed_table
from tests.backends import to_numpy, value_and_grad
from tests.parities import ParityError


def outputs(meta, weights, inputs, expected):
    if "enc_pos_embed" in weights:
        return _xkd_encoder(meta["config"], weights, inputs["x"], expected)
    if "patch_embed_v.proj.weight" in weights:
        return _mavil(meta["config"], weights, inputs)
    if "ViT.v.pos_embed" in weights:
        return _lavish_vit(meta["config"], weights, inputs)
    if "my_tokens" in weights:
        return _adapter(meta, weights, inputs["x"], inputs["y"])
    raise ParityError(f"{meta['name']} is of no audio-visual transformer that is known here.")


def _xkd_encoder(config, weights, x, expected):
    heads = expected["cls_attention"].shape[1]
    if "spec_size" in config:
        spectrogram = x[:, 0].swapaxes(1, 2)
        backbone = convert(
            weights,
            patch=config["patch_spatial"][::-1],
            frames=spectrogram.shape[1],
            bands=config["spec_size"][0],
            heads=heads,
        ).model
        return _parts(_xkd_arrays(backbone, spectrogram), expected)
    channels, *size = config["frame_size"]
    clips = np.moveaxis(x, 1, -1)
    backbone = convert(
        weights,
        patch=(config["patch_temporal"], *config["patch_spatial"]),
        trained_shape=(config["num_frames"], *size, channels),
        clip_shape=clips.shape[1:],
        heads=heads,
    ).model
    return _parts(_xkd_arrays(backbone, clips), expected)


def _xkd_arrays(backbone, inputs):
    """An encoder's arrays by the fixtures' names."""
    names = {layer.name for layer in backbone.layers}
    if "token_embedding" in names:
        table = backbone.get_layer("token_embedding").table
    else:
        table = backbone.get_layer("positions").space
    tokens = backbone.embed_tokens(ops.convert_to_tensor(inputs))
    x = tokens
    for index in range(backbone.depth - 1):
        x = backbone.get_layer(f"block{index + 1}")(x)
    last = backbone.get_layer(f"block{backbone.depth}")
    attention = class_attention(last, x)
    sequence = backbone.encode_tokens(tokens)
    whole = backbone(inputs, training=False)
    patches = to_numpy(whole).reshape(len(inputs), -1, whole.shape[-1])
    sequence = to_numpy(sequence)
    return {
        "position": to_numpy(table),
        "tokens": to_numpy(tokens),
        "sequence": sequence,
        "patch_mean": patches.mean(axis=1),
        "cls": sequence[:, 0],
        "cls_attention": attention,
    }


def class_attention(block, tokens):
    """The attention `[B, heads, N]` that a block's class token pays to the patches."""
    query, key, _ = block.attention.split(block.norm1(tokens))
    logits = ops.einsum("bhd,bnhd->bhn", query[:, 0], key) / query.shape[-1] ** 0.5
    return to_numpy(ops.softmax(logits, axis=-1))[:, :, 1:]


def _mavil(config, weights, inputs):
    spectrogram, clips = inputs["spectrogram"][:, 0], np.moveaxis(inputs["video"], 1, -1)
    options = {
        "heads": config["heads"],
        "frames": spectrogram.shape[1],
        "bands": spectrogram.shape[2],
        "clip_shape": clips.shape[1:],
    }
    pair = {"clips": clips, "audio": spectrogram}
    both = convert(weights, part="both", **options).model
    got = {name: to_numpy(both.endpoint(name)(pair)) for name in both.endpoints}
    if config["fusion"]:
        got |= {f"feature_{m}": got["features"] for m in "av"}
    else:
        audio = convert(weights, part="audio", **options).model
        video = convert(weights, part="video", **options).model
        tokens = got["audio_tokens"][:, 1:].mean(axis=1)
        got["feature_a"] = to_numpy(audio.norm(tokens))
        got["logits"] = to_numpy(audio(spectrogram, training=False))
        backbone = getattr(video, "backbone", video)
        pooled = to_numpy(ops.mean(backbone(clips, training=False), axis=(1, 2, 3)))
        gain, offset = weights["fc_norm_v.weight"], weights["fc_norm_v.bias"]
        centred = pooled - pooled.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(centred.var(axis=-1, keepdims=True) + 1e-6)
        got["feature_v"] = centred / deviation * gain + offset
    grid = [size // 16 for size in config["spec"]]
    got["table_audio"] = fixed_table("sine_cosine", grid, config["width"], 1)
    got["table_video"] = sine_cosine_3d(
        (config["n_frm"] // 2, *[config["video_size"] // 16] * 2),
        config["width"],
        "time_quarter",
        class_token=True,
    )
    return got


def _lavish_vit(config, weights, inputs):
    clips, sound = np.moveaxis(inputs["vis"], 2, -1), inputs["audio"]
    options = {"clip_shape": clips.shape[1:], "sound_shape": sound.shape[2:]}
    model = convert(weights, heads=config["heads"], **options).model
    pair = {"clips": clips, "audio": sound}
    return {
        "prob": to_numpy(model(pair, training=False)).reshape(-1, config["num_classes"]),
        "audio_tokens": to_numpy(model.endpoint("audio_tokens")(pair)),
    }


def _adapter(meta, weights, x, y):
    form = "avs" if "AVS" in meta["source"] else "ave"
    adapter = LatentAdapter(**lavish.adapter_options(weights, "", form))
    adapter.build(x.shape, y.shape)
    mapping = ViTMapping(weights)
    lavish.map_adapter(mapping, "", adapter, form)
    mapping.place(weights, adapter)
    output = to_numpy(adapter(x, y, training=False))
    slope = np.linspace(-1, 1, output.size).reshape(output.shape).astype("float32")
    gradients = _gradients(adapter, x, y, slope)
    return {"y": output, **{f"grad.{name}": value for name, value in gradients.items()}}


def _gradients(adapter, x, y, slope):
    """Of `sum(slope * output)`: with respect to both inputs, the latents and their gate."""
    variables = {"my_tokens": adapter.latents, "gate_av": adapter.gate_other}
    trained = [v.value for v in adapter.trainable_variables]
    fixed = [v.value for v in adapter.non_trainable_variables]
    places = [
        next(i for i, w in enumerate(adapter.trainable_variables) if w is v)
        for v in variables.values()
    ]

    def loss(x, y, *chosen):
        values = list(trained)
        for place, value in zip(places, chosen):
            values[place] = value
        output, _ = adapter.stateless_call(values, fixed, x, y, training=False)
        return ops.sum(output * ops.convert_to_tensor(slope))

    chosen = [to_numpy(v.value) for v in variables.values()]
    _, gradients = value_and_grad(loss, x, y, *chosen)
    return dict(zip(("x", "y", *variables), gradients))


def _parts(arrays, expected):
    """Whole arrays, or `name.sub` (strided) and `name.stats` (mean, std, stride, size)."""
    got = {}
    for name in expected:
        base, _, kind = name.rpartition(".")
        if kind == "stats":
            array = arrays[base].reshape(-1)
            stride = expected[name][2]
            got[name] = np.array([array.mean(), array.std(), stride, array.size])
        elif kind == "sub":
            stride = int(expected[f"{base}.stats"][2])
            got[name] = arrays[base].reshape(-1)[::stride]
        else:
            got[name] = arrays[name]
    return got
