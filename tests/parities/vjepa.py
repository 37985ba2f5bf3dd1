"""Fixtures of V-JEPA: encoders, predictors and targets, the attentive probe, the masks."""

import numpy as np
from keras import ops

from keras_vssl.convert import convert
from keras_vssl.layers import masking
from keras_vssl.layers.block_masks import block_indices, block_size
from keras_vssl.layers.jepa_predictor import feature_targets
from keras_vssl.layers.positions import sine_cosine_2d, sine_cosine_3d
from tests.backends import to_numpy


def outputs(meta, weights, inputs, expected):
    config = meta["config"]
    if "uniform" in inputs:
        return _masks(config, inputs)
    if "pooler.query_tokens" in weights:
        probe = convert(weights, heads=config["num_heads"]).model
        tokens = ops.convert_to_tensor(inputs["tokens"])
        pooled = to_numpy(probe.pool(tokens, training=False))
        return {"pooled": pooled[:, None], "logits": to_numpy(probe(tokens, training=False))}
    hub = "pixel_values_videos" in inputs
    clips = inputs["pixel_values_videos" if hub else "video"]
    clips = np.moveaxis(clips, 2 if hub else 1, -1)
    options = {"clip_shape": clips.shape[1:]}
    heads = config.get("num_attention_heads", config.get("num_heads"))
    narrow = config.get("pred_num_attention_heads", config.get("pred_num_heads"))
    if not hub:
        options |= {"rope": config["use_rope"], "uniform_power": config["uniform_power"]}
    encoder = convert(weights, part="encoder", heads=heads, **options).model
    predictor = convert(weights, part="predictor", heads=narrow, **options).model
    context, target = (
        ops.convert_to_tensor(inputs[n].astype("int32")) for n in ("context", "target")
    )

    tokens = encoder.embed_tokens(ops.convert_to_tensor(clips))
    full = encoder.encode_tokens(tokens, training=False)
    kept = masking.gather_tokens(tokens, context)
    seen = encoder.encode_tokens(kept, training=False, index=context)
    # transformers encode the whole clip and gather afterwards; its targets are not normalised.
    features = masking.gather_tokens(full, context) if hub else seen
    token = int(inputs.get("mask_index", 1))
    predicted = to_numpy(predictor(features, context, target, mask_token=token, training=False))
    goal = masking.gather_tokens(full, target) if hub else feature_targets(full, target)
    goal = to_numpy(goal)
    got = {
        "encoder": to_numpy(full),
        "encoder_full": to_numpy(encoder(clips, training=False)).reshape(full.shape),
        "encoder_context": to_numpy(seen),
        "predictor": predicted,
        "target": goal,
        "loss": np.abs(predicted - goal).mean(),
        # Computed for the shapes that the fixture's notes state.
        "table_uneven_d32": sine_cosine_3d((2, 3, 3), 32, "time_half"),
        "table_uniform_d32": sine_cosine_3d((2, 3, 3), 32),
        # The row comes first here, the column in MAE's table.
        "table_2d_d16": np.roll(sine_cosine_2d((3, 3), 16), 8, axis=1),
    }
    if not hub and not config["use_rope"]:
        got["pos_embed_table"] = encoder.get_layer("positions").table[None]
        got["predictor_pos_embed_table"] = predictor.table[None]
    return {name: got[name] for name in expected if name in got}


def _masks(config, inputs):
    grid = config["duration"], config["height"], config["width"]
    ranges = (config[name] for name in ("spatial_scale", "temporal_scale", "aspect_ratio"))
    size = block_size(grid, *ranges, inputs["uniform"])
    context, target = block_indices(grid, size, inputs["corners"].astype(int))
    return {"block_size": np.array(size, "int32"), "context": context, "target": target}
