"""VideoMAE's and TimeSformer's checkpoints, in every naming, become the same networks."""

import re

import numpy as np
import pytest
from keras import ops

from keras_vssl.convert import ConvertError, convert
from keras_vssl.convert.vit import heads_of

WIDTH, SHAPE = 48, (4, 16, 16, 3)
OPTIONS = {"heads": 3, "decoder_heads": 2, "clip_shape": SHAPE}
RNG = np.random.default_rng(0)


def dense(name, outputs, inputs, bias=True):
    state = {f"{name}.weight": RNG.normal(0, 0.2, (outputs, inputs)).astype("float32")}
    if bias:
        state[f"{name}.bias"] = RNG.normal(0, 0.1, outputs).astype("float32")
    return state


def norm(name, width=WIDTH):
    return {
        f"{name}.weight": RNG.normal(1, 0.1, width).astype("float32"),
        f"{name}.bias": RNG.normal(0, 0.1, width).astype("float32"),
    }


def block(name, width=WIDTH):
    return {
        **norm(f"{name}.norm1", width),
        **dense(f"{name}.attn.qkv", 3 * width, width, bias=False),
        f"{name}.attn.q_bias": RNG.normal(0, 0.1, width).astype("float32"),
        f"{name}.attn.v_bias": RNG.normal(0, 0.1, width).astype("float32"),
        **dense(f"{name}.attn.proj", width, width),
        **norm(f"{name}.norm2", width),
        **dense(f"{name}.mlp.fc1", 2 * width, width),
        **dense(f"{name}.mlp.fc2", width, 2 * width),
    }


def embedding(name, axes=(2, 8, 8)):
    return {
        f"{name}.weight": RNG.normal(0, 0.1, (WIDTH, 3, *axes)).astype("float32"),
        f"{name}.bias": np.zeros(WIDTH, "float32"),
    }


PRETRAINED = {
    **embedding("encoder.patch_embed.proj"),
    **block("encoder.blocks.0"),
    **block("encoder.blocks.1"),
    **norm("encoder.norm"),
    **dense("encoder_to_decoder", 24, WIDTH, bias=False),
    "mask_token": RNG.normal(0, 0.02, (1, 1, 24)).astype("float32"),
    **block("decoder.blocks.0", 24),
    **norm("decoder.norm", 24),
    **dense("decoder.head", 384, 24),
}
FINE_TUNED = {
    **{k.removeprefix("encoder."): v for k, v in PRETRAINED.items() if "blocks.0" in k and "enc" in k},
    **embedding("patch_embed.proj"),
    **norm("fc_norm"),
    **dense("head", 7, WIDTH),
}  # fmt: skip


def hub(state, query_bias="q_bias", value_bias="v_bias"):
    """The same tensors in the naming of transformers."""
    parts = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
        "attn.q_bias": f"attention.attention.{query_bias}",
        "attn.v_bias": f"attention.attention.{value_bias}",
    }
    renamed = {}
    for name, value in state.items():
        name = name.replace(
            "encoder.patch_embed.proj", "videomae.embeddings.patch_embeddings.projection"
        )
        name = re.sub(r"^encoder\.norm", "videomae.layernorm", name)
        name = re.sub(r"^encoder\.blocks", "videomae.encoder.layer", name)
        name = re.sub(r"^decoder\.blocks", "decoder.decoder_layers", name)
        for old, new in parts.items():
            name = re.sub(
                rf"(layer\.\d+|decoder_layers\.\d+)\.{re.escape(old)}", rf"\1.{new}", name
            )
        if name.endswith("attn.qkv.weight"):
            stem = name.replace("attn.qkv.weight", "attention.attention.")
            for part, rows in zip(("query", "key", "value"), np.split(value, 3)):
                renamed[f"{stem}{part}.weight"] = rows
        else:
            renamed[name] = value
    return renamed


def clips(seed=1):
    return np.random.default_rng(seed).normal(size=(1, 1, *SHAPE)).astype("float32")


def prediction(task):
    return ops.convert_to_numpy(task(clips())["prediction"])


def test_three_namings_are_one_network():
    first = convert({"module": PRETRAINED}, ratio=0.5, **OPTIONS)
    task = first.model
    assert type(task).__name__ == "VideoMAE" and first.provenance["format"] == "videomae"
    backbone = task.backbone
    assert (backbone.width, backbone.depth, backbone.mlp_width) == (48, 2, 96)
    assert backbone.patch == (2, 8, 8) and backbone.final_norm and task.decoder.depth == 1
    assert backbone.mean == [0.485, 0.456, 0.406]
    assert not any(re.search("position|key_bias", w.path) for w in task.weights)
    for spelling in (("q_bias", "v_bias"), ("query.bias", "value.bias")):
        other = convert(hub(PRETRAINED, *spelling), ratio=0.5, **OPTIONS).model
        np.testing.assert_array_equal(prediction(other), prediction(task))


def test_the_encoder_alone_and_a_preset(tmp_path):
    backbone = convert(PRETRAINED, backbone_only=True, **OPTIONS).model
    assert type(backbone).__name__ == "VideoViT"
    kept = {k: v for k, v in PRETRAINED.items() if k.startswith("encoder.")}
    x = clips()[:, 0]
    want = ops.convert_to_numpy(backbone(x))
    np.testing.assert_array_equal(ops.convert_to_numpy(convert(kept, **OPTIONS).model(x)), want)
    from keras_vssl.tasks import VideoMAE

    task = convert(PRETRAINED, tmp_path / "preset", ratio=0.5, **OPTIONS).model
    np.testing.assert_allclose(
        prediction(VideoMAE.from_preset(tmp_path / "preset")), prediction(task), atol=1e-5
    )


def test_a_fine_tuned_network_normalises_after_the_pooling(tmp_path):
    model = convert(FINE_TUNED, tmp_path / "preset", **OPTIONS).model
    assert type(model).__name__ == "VideoClassifier" and model.num_classes == 7
    assert not model.backbone.final_norm
    features = ops.convert_to_numpy(ops.mean(model.backbone(clips()[:, 0]), axis=(1, 2, 3)))
    features = (features - features.mean()) / np.sqrt(features.var() + 1e-6)
    features = features * FINE_TUNED["fc_norm.weight"] + FINE_TUNED["fc_norm.bias"]
    want = features @ FINE_TUNED["head.weight"].T + FINE_TUNED["head.bias"]
    got = ops.convert_to_numpy(model(clips()))
    np.testing.assert_allclose(got, want, atol=1e-4)
    from keras_vssl.downstream import VideoClassifier

    loaded = VideoClassifier.from_preset(tmp_path / "preset")
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(clips())), got, atol=1e-5)
    assert convert(FINE_TUNED, backbone_only=True, **OPTIONS).model.count_params() > 0


def test_timesformer_tells_its_clip_and_its_places():
    state = {
        **embedding("patch_embed.proj", (8, 8)),
        "cls_token": RNG.normal(size=(1, 1, WIDTH)).astype("float32"),
        "pos_embed": RNG.normal(size=(1, 5, WIDTH)).astype("float32"),
        "time_embed": RNG.normal(size=(1, 4, WIDTH)).astype("float32"),
        **{k: v for k, v in block("blocks.0").items() if "_bias" not in k},
        "blocks.0.attn.qkv.bias": np.zeros(3 * WIDTH, "float32"),
        **norm("blocks.0.temporal_norm1"),
        **dense("blocks.0.temporal_attn.qkv", 3 * WIDTH, WIDTH),
        **dense("blocks.0.temporal_attn.proj", WIDTH, WIDTH),
        **dense("blocks.0.temporal_fc", WIDTH, WIDTH),
        **norm("norm"),
        **dense("head", 5, WIDTH),
    }
    result = convert({"model_state": {f"model.{k}": v for k, v in state.items()}}, heads=3)
    backbone = result.model.backbone
    assert result.provenance["format"] == "timesformer" and result.model.num_classes == 5
    assert backbone.clip_shape == (4, 16, 16, 3) and backbone.clip["stride"] == 32
    assert backbone.mean == [0.45] * 3
    bare = convert(state, heads=3, backbone_only=True).model
    x = clips()[:, 0]
    np.testing.assert_array_equal(ops.convert_to_numpy(bare(x)), ops.convert_to_numpy(backbone(x)))


def test_heads_are_the_published_ones():
    widths = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16, 1408: 16, 512: 8, 640: 8}
    assert {width: heads_of(width) for width in widths} == widths
    with pytest.raises(ConvertError, match="pass heads="):
        heads_of(48)
    with pytest.raises(ConvertError, match="5 fits the width 48"):
        heads_of(48, 5)


def test_missing_and_misshapen_tensors_are_named():
    state = hub(PRETRAINED)
    lost = "videomae.encoder.layer.1.attention.attention.key.weight"
    del state[lost]
    with pytest.raises(ConvertError, match=re.escape(lost)):
        convert(state, ratio=0.5, **OPTIONS)
    state = {**PRETRAINED, "encoder.blocks.0.attn.q_bias": np.zeros(5, "float32")}
    with pytest.raises(ConvertError, match=r"q_bias is \(5,\)"):
        convert(state, ratio=0.5, **OPTIONS)
