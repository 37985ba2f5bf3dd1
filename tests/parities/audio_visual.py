"""Fixtures of the residual networks of XDC, CrissCross, RepLAI, SLIC, VTDL, and their sound's."""

import keras
import numpy as np
from keras import ops

from keras_vssl.backbones import AudioBackbone
from keras_vssl.convert import convert
from keras_vssl.losses.contrastive import info_nce, unit
from tests.backends import infer, to_numpy, value_and_grad
from tests.parities.arrays import base, reduced

# An endpoint's name here for a layer's name there. AVID's conv1 ends with its pooling.
_STAGES = {"conv1": "stem_pool", **{f"conv{i + 1}x": f"layer{i}" for i in (1, 2, 3, 4)}}
_ENDPOINTS = {
    "replai-audio": {f"conv{i}x": f"conv{2 * i - 1}" for i in (2, 3, 4, 5)},
    "crisscross": _STAGES,
    "replai": _STAGES,
}


def outputs(meta, weights, inputs, expected):
    name = meta["name"]
    if name.startswith("crisscross-heads"):
        layers = meta["config"]["proj_layers"]
        return _crisscross_heads(convert(weights, projector_layers=layers).model, meta, inputs)
    if name.startswith("replai-loss"):
        return _replai_loss(convert(weights).model, meta, inputs)
    slug = name.split("-")[0]
    # A video network alone has the same names at RepLAI and at CrissCross.
    options = {"format": "replai"} if slug == "replai" else {}
    if slug == "slic":
        options["stem_pool"] = not meta["config"]["no_max_pool"]
        options["stem_stride"] = meta["config"]["conv1_t_stride"]
    if "bn_eps" in meta.get("config", {}):
        options["epsilon"] = float(meta["config"]["bn_eps"])
    model = convert(weights, **options).model
    backbone = getattr(model, "backbone", model)
    (x,) = inputs.values()
    arrays = _maps(backbone, slug, x, "-".join(name.split("-")[:2]), expected)
    last = arrays["last"]
    pooled = (last.max if slug == "replai" else last.mean)(tuple(range(2, last.ndim)))
    whole = {"pool": pooled, "features": pooled}
    if "logits" in expected:
        whole["logits"] = to_numpy(model(np.moveaxis(x, 1, -1)[:, None], training=False))
    if "embedding" in expected:
        head = convert(weights, part="head").model
        whole["embedding"] = to_numpy(head(pooled, training=False))
    if "svm_feature" in expected:
        whole["svm_feature"] = _svm_feature(last)
    if "id" in expected:
        heads = convert(weights, part="heads").model(pooled, training=False)
        whole |= {key: to_numpy(value) for key, value in heads.items()}
        features = _steps(last, expected["feature_head"].shape[1] // last.shape[1])
        whole["feature_head"] = features / np.linalg.norm(features, axis=1, keepdims=True)
    return {
        key: whole[key] if key in whole else reduced(key, arrays[base(key)], reference, expected)
        for key, reference in expected.items()
    }


def _maps(backbone, slug, x, family, expected):
    """The maps that the outputs are parts of, channels first, and `last`."""
    endpoints = _ENDPOINTS.get(family, _ENDPOINTS.get(slug, {}))
    wanted = {"last": list(backbone.endpoints)[-1]}
    for name in map(base, expected):
        endpoint = endpoints.get(name, {"feature": wanted["last"]}.get(name, name))
        if endpoint in backbone.endpoints:
            wanted[name] = endpoint
    tensors = {name: backbone.endpoints[endpoint] for name, endpoint in wanted.items()}
    if "bn1_sub" in expected:
        tensors["bn1"] = backbone.get_layer("stem_bn").output
    model = keras.Model(backbone.inputs[0], tensors)
    if not isinstance(backbone, AudioBackbone):
        maps = infer(model, np.moveaxis(x, 1, -1))
        return {name: np.moveaxis(to_numpy(value), -1, 1) for name, value in maps.items()}
    # CrissCross's pictures are [frequency, time], RepLAI's [time, frequency].
    turned = slug == "crisscross"
    maps = infer(model, x[:, 0].swapaxes(1, 2) if turned else x[:, 0])
    order = (0, 3, 2, 1) if turned else (0, 3, 1, 2)
    return {name: to_numpy(value).transpose(order) for name, value in maps.items()}


def _steps(last, count):
    """The averages of `count` parts of the clip (VTDL's I3D: 2), flattened C T."""
    frames = last.shape[2]
    parts = [
        last[:, :, i * frames // count : -((i + 1) * frames // -count)].mean((2, 3, 4))
        for i in range(count)
    ]
    return np.stack(parts, axis=-1).reshape(len(last), -1)


def _svm_feature(last):
    """Maximum over 3 steps of time at every other one, unit length along time, C F T."""
    windows = np.lib.stride_tricks.sliding_window_view(last, 3, axis=3)[:, :, :, ::2].max(-1)
    norm = np.linalg.norm(windows, axis=3, keepdims=True)
    return (windows / np.maximum(norm, 1e-12)).reshape(len(last), -1)


def _crisscross_heads(heads, meta, inputs):
    """The six terms of CrissCross's objective in training mode, their mean and its gradients."""
    config = meta["config"]
    terms = {
        "Lv1v2": ("v1", "v2", "joint", "vid_coeff"),
        "La1a2": ("a1", "a2", "joint", "aud_coeff"),
        "Lv1a2": ("v1", "a2", "ctcm", "ct_coeff"),
        "La1v2": ("a1", "v2", "ctcm", "ct_coeff"),
        "Lv1a1": ("v1", "a1", "cm", "cm_coeff"),
        "Lv2a2": ("v2", "a2", "cm", "cm_coeff"),
    }
    names, values = list(inputs), {}

    def loss_of(*arrays):
        views = dict(zip(names, arrays))
        z, p = {}, {}
        for view in "12":  # each view's batch statistics are its own
            pair = {"video": views[f"v{view}"], "audio": views[f"a{view}"]}
            with keras.StatelessScope():  # running statistics are no part of the trace
                embedded = heads(pair, training=True)
            for short, modality in (("v", "video"), ("a", "audio")):
                z[short + view] = ops.stop_gradient(embedded[f"{modality}_projection"])
                p[short + view] = embedded[f"{modality}_prediction"]

        def distance(x, y):
            return -ops.mean(ops.sum(unit(p[x]) * unit(z[y]), axis=-1))

        total, groups = 0.0, sum(bool(config[key]) for key in ("joint", "cm", "ctcm"))
        for term, (x, y, group, weight) in terms.items():
            values[term] = (distance(x, y) + distance(y, x)) / 2
            total = total + config[weight] * values[term] if config[group] else total
        return total / (2 * groups)

    loss, gradients = value_and_grad(loss_of, *inputs.values())
    # Once more without tracing, for the values of the terms.
    loss_of(*map(ops.convert_to_tensor, inputs.values()))
    return {
        "loss": np.array([loss]),
        **{f"sub.{term}": to_numpy(value).reshape(1) for term, value in values.items()},
        **{f"grad.{name}": gradient for name, gradient in zip(names, gradients)},
    }


def _replai_loss(heads, meta, inputs):
    """RepLAI's two objectives; their gradients with and without those of the keys."""
    config, names, parts = meta["config"], list(inputs), {}
    count = len(inputs["audio"])

    def loss_of(*arrays, stop=ops.stop_gradient):
        views = dict(zip(names, arrays))
        sides = [heads_of(views[f"video_{side}"], views["audio"]) for side in "lr"]
        audio = unit(sides[0]["audio_clr"])
        videos = [unit(side["video_clr"]) for side in sides]
        t = config["temperature"]
        va = sum(ops.mean(info_nce(v, stop(audio), temperature=t)) for v in videos) / 2
        av = sum(ops.mean(info_nce(audio, stop(v), temperature=t)) for v in videos) / 2
        parts["avc"] = (va + av) / 2
        left, right = (side["video_aot"] for side in sides)
        sound = unit(sides[0]["audio_aot"])
        losses = []
        for difference, sign in ((right - left, -1.0), (left - right, 1.0)):
            change = unit(difference_of(difference))
            logit = ops.sum(change * sound, axis=-1) / config["aot_temperature"]
            losses.append(ops.mean(ops.softplus(sign * logit)))
        parts["astc"] = sum(losses) / 2
        return config["clr_coeff"] * parts["avc"] + config["aot_coeff"] * parts["astc"]

    def heads_of(video, audio):
        none = ops.zeros((count, config["out_dim"]))
        return heads({"video": video, "audio": audio, "difference": none}, training=False)

    def difference_of(x):
        return heads.get_layer("aot_diff")(x)

    loss, gradients = value_and_grad(loss_of, *inputs.values())
    _, full = value_and_grad(lambda *x: loss_of(*x, stop=lambda y: y), *inputs.values())
    loss_of(*map(ops.convert_to_tensor, inputs.values()))
    return {
        "loss": np.array([loss]),
        **{name: to_numpy(value).reshape(1) for name, value in parts.items()},
        **{f"grad.{name}": gradient for name, gradient in zip(names, gradients)},
        **{f"grad_full.{name}": gradient for name, gradient in zip(names, full)},
    }
