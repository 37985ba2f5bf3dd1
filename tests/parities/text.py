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
    model = convert(weights).model
    if "ids" in inputs:
        ids = inputs["ids"].astype("int32")
        return {"text_embedding": to_numpy(infer(model, ids))}
    # [B, F, T] to [B, T, F], and back.
    tokens = to_numpy(infer(model, np.moveaxis(inputs["mel"], 1, 2).copy()))
    return {"tokens": np.moveaxis(tokens[:, :, 0], 1, 2)}
