"""What the sources of spectrogram transformers share: sizes, position tables, classifiers."""

import numpy as np

from keras_vssl.convert.mapping import ConvertError, shape_of

# The frames and seconds that published networks take; no tensor tells a remainder of the stride.
_LENGTHS = {1024: 10.0, 512: 5.0, 128: 1.0}


def read_frames(places, patch, stride, bands):
    """The frames of the spectrogram that a position table was made for.

    Args:
        places: int, rows of the table without the extra tokens.
        patch, stride: `(time, frequency)`.
        bands: int.

    Returns:
        int: 1024, 512 or 128 where that fits, else what the patches need.

    Raises:
        ConvertError: the bands do not fit the table.
    """
    rows, left = divmod(places, (bands - patch[1]) // stride[1] + 1)
    if left:
        raise ConvertError(
            f"The position table has {places} patches, which {bands} bands do not divide into times"
            f" by patches {patch} at a stride of {stride}; give `bands` or `stride`."
        )
    least = (rows - 1) * stride[0] + patch[0]
    possible = range(least, least + stride[0])
    return next((length for length in _LENGTHS if length in possible), least)


def spectrogram_arguments(frames, bands, patch, stride):
    """The arguments of `AudioViT` that say sizes."""
    return {
        "frames": frames,
        "bands": bands,
        "patch": patch,
        "stride": stride,
        "sound": {"seconds": _LENGTHS.get(frames)},
    }


def fit_table(table, source, target):
    """A position table for another grid, as AST makes one.

    An axis that gets shorter keeps its middle, one that gets longer is stretched linearly.

    Args:
        table: `[1, E + rows * columns, D]` with E rows of extra tokens, which stay.
        source, target: `(rows, columns)`.

    Returns:
        `[E + rows * columns, D]`.
    """
    table = table.reshape(table.shape[-2:])
    extra = len(table) - source[0] * source[1]
    grid = table[extra:].reshape(*source, -1)
    for axis, (old, new) in enumerate(zip(source, target)):
        first = old // 2 - new // 2
        places = np.arange(new) + first
        if new > old:
            places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        below = np.floor(places).astype(int)
        share = (places - below).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        above = np.minimum(below + 1, old - 1)
        grid = (1 - share) * grid.take(below, axis) + share * grid.take(above, axis)
    return np.concatenate([table[:extra], grid.reshape(-1, table.shape[-1])]).astype("float32")


def map_table(mapping, name, layer):
    """A position table `[1, N, D]`; the layer's own stays where the checkpoint has none."""
    if name in mapping.state or layer.table.trainable:
        mapping.add(name, layer.table, lambda array: array.reshape(array.shape[-2:]))
    else:
        table = layer.table.numpy()
        mapping.add(None, layer.table, lambda _: table)


def map_window_block(mapping, name, block):
    """AudioMAE's names (an early timm's Swin V2) of a `WindowBlock`."""
    attention = block.attention
    mapping.add(f"{name}.attn.tau", attention.temperature)
    mapping.dense(f"{name}.attn.qkv", attention.qkv)
    mapping.dense(f"{name}.attn.proj", attention.project)
    mapping.dense(f"{name}.attn.meta_mlp.fc1", attention.bias1)
    mapping.dense(f"{name}.attn.meta_mlp.fc2", attention.bias2)
    mapping.dense(f"{name}.mlp.fc1", block.dense1)
    mapping.dense(f"{name}.mlp.fc2", block.dense2)
    mapping.layer_norm(f"{name}.norm1", block.norm1)
    mapping.layer_norm(f"{name}.norm2", block.norm2)
    # What follows from the sizes, where a checkpoint holds it at all.
    mapping.ignore(f"{name}.attn.relative_coordinates_log", f"{name}.attn_mask")


def with_audio_classifier(state, backbone, mapping, norm, head, epsilon, backbone_only):
    """The model to fill: an `AudioClassifier` where `state` has the linear layer `head`."""
    names = [f"{name}.{kind}" for name in (norm, head) for kind in ("weight", "bias")]
    if backbone_only:
        mapping.ignore(*names)
    if backbone_only or f"{head}.weight" not in state:
        return backbone
    from keras_vssl.downstream import AudioClassifier

    classes = shape_of(state, f"{head}.weight", 2)[0]
    model = AudioClassifier(backbone, num_classes=classes, epsilon=epsilon)
    mapping.layer_norm(norm, model.norm)
    mapping.dense(head, model.head)
    return model
