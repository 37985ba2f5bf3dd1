"""Fixtures of the networks on lips and voices: front ends, RAVEn's and AV-HuBERT's encoders."""

import keras
import numpy as np
from keras import ops

from keras_vssl.convert import convert
from keras_vssl.convert.mapping import Mapping
from keras_vssl.convert.raven import build_predictor, map_attention
from keras_vssl.convert.speech_decoder import ESPNET, FAIRSEQ, build_decoder
from keras_vssl.layers import (
    FRONT_ENDS,
    MFCC,
    LogMelSpectrogram,
    MomentumEncoder,
    RelativeAttention,
    StackedFilterbanks,
)
from keras_vssl.layers.raven_predictor import over_time_normalized
from keras_vssl.layers.relative_attention import relative_positions
from keras_vssl.losses.regression import cosine_regression
from tests.backends import infer, to_numpy, value_and_grad
from tests.parities import ParityError
from tests.parities.arrays import base, reduced


def outputs(meta, weights, inputs, expected):
    name = meta["name"]
    if name.startswith("backbone_lip_resnet"):
        return _front_end(weights, inputs, expected)
    if name.startswith("raven-encoder"):
        return _raven_encoder(weights, inputs)
    if name.startswith("raven-relattention"):
        return _relative_attention(meta, weights, inputs)
    if name.startswith("av_hubert-pretrain"):
        return _pretrain(meta, weights, inputs)
    if name.startswith("av_hubert-clusterhead"):
        return _cluster_head(weights, inputs)
    if name.startswith("av_hubert-decoder"):
        return _decoder(meta, weights, inputs)
    if name.startswith("raven-finetune"):
        return _finetune(meta, weights, inputs)
    if name.startswith("raven-predictor"):
        return _predictor(meta, weights, inputs, expected)
    if name.startswith("av_hubert-audio"):
        return _stacked(meta, inputs)
    if name.startswith("av_hubert-mfcc"):
        ceps = meta["config"]["num_ceps"]
        mfcc = MFCC({**FRONT_ENDS["kaldi-mfcc"], "bands": meta["config"]["num_mel_bins"]}, ceps)
        return {"mfcc39": to_numpy(mfcc(inputs["waveform"]))}
    raise ParityError(f"{name} is of no network that is known here.")


def _maps(model, inputs, tensors):
    """Several inner tensors from one pass, as NumPy."""
    maps = infer(keras.Model(model.input, tensors), inputs)
    return keras.tree.map_structure(to_numpy, maps)


def _front_end(weights, inputs, expected):
    backbone = convert(weights).model
    x = inputs["x"]
    if x.shape[-1] == 1:  # [B, samples, 1]
        names = {"stem": "stem", "layer1": "layer1", "features": "features"}
        x = x[..., 0]
    else:
        names = {"stem": "stem_pool", "layer1": "layer1", "features": "features"}
        x = (x[:, 0] if x.ndim == 5 else x)[..., None]
    tensors = {key: backbone.endpoints[value] for key, value in names.items()}
    maps = _maps(backbone, x, tensors)
    features = maps["features"].reshape(len(x), -1, backbone.feature_dim)
    order = features.transpose(0, 2, 1)
    # PyTorch's layout; the published AV-HuBERT network gives channels first in the end too.
    whole = {key: np.moveaxis(maps[key], -1, 1) for key in ("stem", "layer1")}
    if maps["layer1"].ndim == 5:  # the trunk's frames lie in the batch: [B T, C, H, W]
        layer1 = np.moveaxis(maps["layer1"], -1, 2)
        whole["layer1"] = layer1.reshape(-1, *layer1.shape[2:])
    whole["features"] = order if order.shape == expected["features"].shape else features
    got = {}
    for key, reference in expected.items():
        if key.endswith("_sample"):
            array = whole[key.removesuffix("_sample")].reshape(-1)
            got[key] = array[:: max(1, array.size // 4096)]
        else:
            got[key] = reduced(key, whole[base(key)], reference, expected)
    return got


def _raven_encoder(weights, inputs):
    model = convert(weights).model
    x, mask = inputs["x"], inputs["mask"][:, 0]
    x = x[..., 0] if x.ndim == 3 else x[..., None]
    tensors = {
        "frontend": model.endpoints["frame_features"],
        "blocks": [model.endpoints[f"block{i + 1}"] for i in range(model.depth)],
        "encoder": model.endpoints["features"],
    }
    maps = _maps(model, {"inputs": x, "valid": mask.astype("int32")}, tensors)
    return {
        "frontend": maps["frontend"],
        "block_outputs": np.stack(maps["blocks"]),
        "encoder": maps["encoder"],
    }


def _relative_attention(meta, weights, inputs):
    x, mask = inputs["x"], inputs["mask"][:, 0]
    layer = RelativeAttention(x.shape[-1], meta["config"]["heads"])
    layer.build(x.shape)
    mapping = Mapping()
    map_attention(mapping, "attn", layer)
    mapping.place(weights, layer)
    scaled = ops.convert_to_tensor(x * np.sqrt(x.shape[-1]).astype("float32"))
    return {
        "scaled_input": to_numpy(scaled),
        "position_table": to_numpy(relative_positions(scaled))[None],
        "position_scores": to_numpy(layer.position_scores(scaled)),
        "attention": to_numpy(layer(scaled, valid=ops.convert_to_tensor(mask.astype("int32")))),
    }


def _pretrain(meta, weights, inputs):
    config = meta["config"]
    model = convert(weights, heads=config["heads"]).model
    head = convert(weights, part="head").model
    clips = np.moveaxis(inputs["video"], 1, -1)
    audio = np.moveaxis(inputs["audio"], 1, -1)
    valid = 1 - inputs["padding_mask"].astype("int32")
    masked = inputs["mask"].astype("int32")
    streams = {"clips": clips, "audio": audio}
    names = ("audio_projected", "video_projected", "fused", "embedded", "positions", "block1")
    inner = keras.Model(model.input, {name: model.endpoints[name] for name in (*names, "features")})

    def run(**changes):
        given = model.prepare({**streams, "valid": valid, **changes})
        return {key: to_numpy(value) for key, value in infer(inner, given).items()}

    plain, hidden = run(), run(masked=masked)
    alone = {}
    for stream, key in (("audio", "audio_only"), ("clips", "video_only")):
        given = model.prepare({stream: streams[stream], "valid": valid})
        alone[key] = to_numpy(infer(inner, given)["features"])
    logits = to_numpy(head(hidden["features"]))
    chosen = {"masked": masked * valid == 1, "unmasked": (1 - masked) * valid == 1}
    sums = {}
    for name, frames in chosen.items():
        rows = ops.convert_to_tensor(logits[frames])
        targets = ops.convert_to_tensor(inputs["targets"][frames].astype("int32"))
        errors = keras.losses.sparse_categorical_crossentropy(targets, rows, from_logits=True)
        sums[name] = to_numpy(ops.sum(errors))
    penalty = np.mean(np.square(hidden["fused"]))
    count = int(chosen["masked"].sum())
    frames = count + int(chosen["unmasked"].sum())
    return {
        **alone,
        "features_projected": plain["embedded"],
        "encoder_unmasked": plain["features"],
        "layer1_unmasked": plain["block1"],
        "pos_conv": plain["positions"] - plain["embedded"],
        "audio_projected": plain["audio_projected"],
        "video_projected": plain["video_projected"],
        "logits_masked": logits[chosen["masked"]],
        "logits_unmasked": logits[chosen["unmasked"]],
        "loss_masked_sum": sums["masked"],
        "loss_unmasked_sum": sums["unmasked"],
        "n_masked": np.asarray(count, "int32"),
        "features_pen": penalty,
        "loss_base": sums["masked"] / count + 10 * penalty,
        "loss_large": (sums["masked"] + sums["unmasked"]) / frames + 10 * penalty,
    }


def _stacked(meta, inputs):
    config = meta["config"]
    front_end = {**FRONT_ENDS["av_hubert"], "bands": config["nfilt"], "rate": config["sample_rate"]}
    wave = inputs["waveform_int16"].astype("float32") / 32768
    frames = int(inputs["video_frames"])

    def stacked(**options):
        return to_numpy(StackedFilterbanks(front_end, config["stack"], **options)(wave))

    return {
        "logfbank": to_numpy(LogMelSpectrogram(**front_end)(wave)),
        "stacked": stacked(normalize=False),
        "aligned": stacked(frames=frames, normalize=False),
        "normalised": stacked(frames=frames),
    }


def _cluster_head(weights, inputs):
    head = convert(weights, part="head").model
    targets = inputs["targets"].astype("int32")

    def loss(x):
        errors = keras.losses.sparse_categorical_crossentropy(targets, head(x), from_logits=True)
        return ops.mean(errors)

    value, (gradient,) = value_and_grad(loss, inputs["x"])
    logits = to_numpy(head(ops.convert_to_tensor(inputs["x"])))
    return {"logits": logits, "loss_mean": np.float32(value), "grad_x": gradient}


def _smoothed(logits, targets, counted, smoothing, over):
    """Summed cross entropy against smoothed targets, and the plain one; `over` shares the rest."""
    logs = to_numpy(ops.log_softmax(ops.convert_to_tensor(logits), axis=-1))
    plain = -np.take_along_axis(logs, np.maximum(targets, 0)[..., None], -1)[..., 0]
    rest = -logs.sum(-1) if over == logits.shape[-1] else -logs.sum(-1) - plain
    weight = 1 - smoothing - (smoothing / (over - 1) if over == logits.shape[-1] else 0)
    share = smoothing / (over - 1 if over == logits.shape[-1] else over)
    return (counted * (weight * plain + share * rest)).sum(), (counted * plain).sum()


def _decoder(meta, weights, inputs):
    model, mapping = build_decoder(weights, "", FAIRSEQ, heads=meta["config"]["heads"])
    mapping.place(weights, model)
    valid = 1 - inputs["padding_mask"].astype("int32")
    tokens, targets = (inputs[key].astype("int32") for key in ("prev_tokens", "targets"))
    logits = to_numpy(model(tokens, inputs["encoder"], valid=valid))
    counted = targets != 1  # fairseq's padding
    loss, plain = _smoothed(logits, targets, counted, 0.1, logits.shape[-1])
    positions = to_numpy(model.positions(ops.convert_to_tensor(tokens)))
    return {"positions": positions, "logits": logits, "loss_sum": loss, "nll_sum": plain}


def _finetune(meta, weights, inputs):
    config = meta["config"]
    encoder = convert(weights).model
    wave, mask = inputs["x"], inputs["mask"][:, 0].astype("int32")
    wave = wave[..., 0] if wave.ndim == 3 else wave[..., None]
    features = to_numpy(infer(encoder, {"inputs": wave, "valid": mask}))
    labels = inputs["labels"].astype("int32")
    end = config["odim"] - 1
    given = np.where(labels < 0, end, labels)
    start = np.full((len(labels), 1), end, "int32")
    tokens = np.concatenate([start, given], axis=1)
    lengths = (labels >= 0).sum(1)
    targets = np.concatenate([labels, np.full_like(start, -1)], axis=1)
    targets[np.arange(len(labels)), lengths] = end
    heads = config.get("dheads", config["aheads"])
    parts = {k: v for k, v in weights.items() if k.startswith("decoder.")}
    decoder, mapping = build_decoder(parts, "decoder.", ESPNET, heads=heads)
    mapping.place(parts, decoder)
    logits = to_numpy(decoder(tokens, features, valid=mask))
    rows = features @ weights["ctc.ctc_lo.weight"].T + weights["ctc.ctc_lo.bias"]
    ctc = ops.ctc_loss(
        ops.convert_to_tensor(np.maximum(labels, 0)),
        ops.convert_to_tensor(rows),
        ops.convert_to_tensor(lengths.astype("int32")),
        ops.convert_to_tensor(inputs["lengths"].astype("int32")),
        mask_index=0,
    )
    ctc = to_numpy(ops.sum(ctc)) / len(labels)
    # The Kullback-Leibler divergence: what the smoothed targets hold themselves is taken off.
    count = int((targets >= 0).sum())
    odim = config["odim"]
    loss, _ = _smoothed(logits, targets, targets >= 0, 0.1, odim)
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1 / (odim - 1)))
    attention = (loss - count * entropy) / len(labels)
    return {
        "encoder": features,
        "ctc_logits": rows,
        "decoder_logits": logits,
        "decoder_input": tokens,
        "decoder_target": targets,
        "loss_ctc": ctc,
        "loss_attention": attention,
        "loss": 0.1 * ctc + 0.9 * attention,
    }


def _predictor(meta, weights, inputs, expected):
    model, mapping = build_predictor(weights)
    mapping.place(weights, model)
    x, target = inputs["x"], ops.convert_to_tensor(inputs["target"])
    valid, masked = (ops.convert_to_tensor(inputs[k].astype("int32")) for k in ("valid", "masked"))
    weight = ops.cast(masked, "float32")

    def per_frame(x):
        return cosine_regression(model(x, masked=masked, valid=valid), target) / 2 - 1

    def loss(x):
        return ops.sum(per_frame(x) * weight) / ops.sum(weight)

    value, (gradient,) = value_and_grad(loss, x)
    x = ops.convert_to_tensor(x)
    teacher = MomentumEncoder(
        keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), 0.999, "cosine", steps=100
    )
    momentum = []
    for step in (0, 1, 25, 50, 99, 100):
        teacher.updates.assign(float(step))
        momentum.append(float(to_numpy(teacher.current_momentum())))
    return {
        "prediction": to_numpy(model(x, masked=masked, valid=valid)),
        "per_frame": to_numpy(per_frame(x)),
        "loss": np.float32(value),
        "grad_x": gradient,
        "instance_normed_target": to_numpy(over_time_normalized(target)),
        "momentum": np.asarray(momentum, "float32"),
    }
