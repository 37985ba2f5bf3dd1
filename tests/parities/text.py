"""Fixtures of text networks, their tokenizer, and the audio network beside them."""

import numpy as np

from keras_vssl.convert import convert
from keras_vssl.data import Words
from tests.backends import infer, to_numpy


def outputs(meta, weights, inputs, expected):
    config = meta["config"]
    if "vocabulary" in config:
        words = Words(config["vocabulary"], config["max_words"])
        return {"ids": words.ids(config["sentences"])}
    if "text_mask" in inputs:
        return _fused(meta, weights, inputs)
    model = convert(weights).model
    if "ids" in inputs:
        ids = inputs["ids"].astype("int32")
        return {"text_embedding": to_numpy(infer(model, ids))}
    # [B, F, T] to [B, T, F], and back.
    tokens = to_numpy(infer(model, np.moveaxis(inputs["mel"], 1, 2).copy()))
    return {"tokens": np.moveaxis(tokens[:, :, 0], 1, 2)}


def _fused(meta, weights, inputs):
    heads = meta["config"]["fusion_params"]["num_heads"]
    model = convert(weights, part="fusion", heads=heads).model
    inputs = {**inputs, "audio": np.moveaxis(inputs["audio"], 1, 2).copy()}
    rows = np.moveaxis(to_numpy(infer(model, inputs)), 1, 0)
    found = dict(zip(("text", "video", "audio", "tv", "ta", "va"), rows, strict=True))
    unit = {k: v / np.linalg.norm(v, axis=-1, keepdims=True) for k, v in found.items()}
    for one, other in (("text", "video"), ("text", "audio"), ("video", "audio")):
        found[f"{one[0]}_plus_{other[0]}"] = (unit[one] + unit[other]) / 2
    out = {f"{name}_embed": rows for name, rows in found.items()}
    for name in ("text", "video", "audio"):
        out[f"{name}_nonempty_input_mask"] = inputs[f"{name}_mask"].any(axis=1).astype("int32")
    return out
