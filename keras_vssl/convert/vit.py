"""Places the tensors of vision transformers, in timm's naming or that of transformers."""

import math

import numpy as np

from keras_vssl.convert.mapping import ConvertError, Mapping
from keras_vssl.layers.patches import grid_of

# Heads where they are not 64 channels wide.
_HEADS = {640: 8, 1280: 16, 1408: 16}

# A block's parts; of the attention, what follows the block's name.
TIMM = {
    "norm1": "norm1",
    "norm2": "norm2",
    "qkv": ("attn.qkv",),
    "query_bias": ("attn.q_bias",),
    "value_bias": ("attn.v_bias",),
    "proj": "attn.proj",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
}
_HUB_ATTENTION = "attention.attention"
HUB = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "qkv": tuple(f"{_HUB_ATTENTION}.{part}" for part in ("query", "key", "value")),
    # As the files have them; recent versions of transformers rename them on loading.
    "query_bias": (f"{_HUB_ATTENTION}.q_bias", f"{_HUB_ATTENTION}.query.bias"),
    "value_bias": (f"{_HUB_ATTENTION}.v_bias", f"{_HUB_ATTENTION}.value.bias"),
    "proj": "attention.output.dense",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
}
JEPA_HUB = {
    **TIMM,
    "qkv": tuple(f"attention.{part}" for part in ("query", "key", "value")),
    "proj": "attention.proj",
}


class ViTMapping(Mapping):
    """A `Mapping` that knows the parts of a vision transformer.

    Args:
        state: dict of name to array; tells which of several spellings it has.
    """

    def __init__(self, state):
        super().__init__()
        self.state = state
        self.joined = {}

    def patch_embed(self, name, layer):
        """A strided convolution `O C *patch`, as a `TubeletEmbedding`."""

        def kernel(array):
            # [O, C, (t,) h, w] to [(t,) h, w, C, O], flattened as the cubes are.
            array = np.transpose(array, (*range(2, array.ndim), 1, 0))
            return array.reshape(-1, array.shape[-1])

        self.add(f"{name}.weight", layer.dense.kernel, kernel)
        self.add(f"{name}.bias", layer.dense.bias)

    def layer_norm(self, name, layer):
        """Gain and offset of a layer normalisation."""
        self.add(f"{name}.weight", layer.gamma)
        self.add(f"{name}.bias", layer.beta)

    def table(self, name, variable, saved, grid, unused=0):
        """A table of positions `[1, N, D]`, interpolated where the model has another grid.

        Args:
            name: str. variable: the model's table.
            saved: `TableGrid` of the checkpoint's. grid: ints, the model's.
            unused: int, rows at the start of the checkpoint's table that mean nothing.
        """

        def fitted(array):
            array = array.reshape(array.shape[-2:])[unused:]
            return array if saved.grid == tuple(grid) else saved.resize(array, grid)

        self.add(name, variable, fitted)

    def attention(self, name, layer, names=TIMM):
        """An `Attention`; separate queries, keys and values are joined."""
        self.join(
            [f"{name}.{part}.weight" for part in names["qkv"]], layer.qkv.kernel, np.transpose
        )
        if layer.qkv_bias == "all":
            self.join([f"{name}.{part}.bias" for part in names["qkv"]], layer.qkv.bias)
        elif layer.qkv_bias == "query_value":
            for part in ("query_bias", "value_bias"):
                spellings = [f"{name}.{spelling}" for spelling in names[part]]
                found = next((s for s in spellings if s in self.state), spellings[0])
                self.add(found, getattr(layer, part))
        self.dense(f"{name}.{names['proj']}", layer.proj)

    def block(self, name, block, names=TIMM):
        """A `TransformerBlock`."""
        self.layer_norm(f"{name}.{names['norm1']}", block.norm1)
        self.attention(name, block.attention, names)
        self.layer_norm(f"{name}.{names['norm2']}", block.norm2)
        self.dense(f"{name}.{names['fc1']}", block.fc1)
        self.dense(f"{name}.{names['fc2']}", block.fc2)

    def place(self, state, model, release=False):
        """See `Mapping.place`."""
        joined = dict(state)
        if release:
            state.clear()
        for name, parts in self.joined.items():
            if all(part in joined for part in parts):
                joined[name] = np.concatenate([joined.pop(part) for part in parts])
        super().place(joined, model, release)

    def join(self, parts, variable, transform=None):
        """Tensors that are one variable together, concatenated along their first axis."""
        name = parts[0] if len(parts) == 1 else " + ".join(parts)
        if len(parts) > 1:
            self.joined[name] = parts
        self.add(name, variable, transform)


def grids_of(rows, patch, clip_shape, published, trained_shape=None):
    """For which clip a learned table of positions was trained, and which one is wanted.

    Args:
        rows: int, of the table, class tokens not counted.
        patch: (frames, height, width) of a cube.
        clip_shape: `(T, H, W, 3)`, the clip that is wanted, or `None`: the table's own.
        published: `(T, H, W, 3)`, the clip of the published files.
        trained_shape: `(T, H, W, 3)`, the table's own clip, or `None`: the published one if the
            rows fit, else the wanted one, else one of the wanted height and width and of another
            time, else a square of the published time.

    Returns:
        the clip shape that is wanted, and the grid of the table.

    Raises:
        ConvertError: no such clip has so many tokens.
    """
    wanted = tuple(clip_shape or trained_shape or published)

    def fits(shape):
        whole = all(size % part == 0 for size, part in zip(shape[:3], patch))
        return whole and math.prod(grid_of(shape[:3], patch)) == rows

    candidates = [tuple(trained_shape)] if trained_shape else [tuple(published), wanted]
    if not trained_shape:
        places = (wanted[1] // patch[1]) * (wanted[2] // patch[2])
        candidates.append((rows // max(places, 1) * patch[0], *wanted[1:]))
        side = math.isqrt(rows // max(published[0] // patch[0], 1))
        candidates.append((published[0], side * patch[1], side * patch[2], 3))
    found = next((shape for shape in candidates if fits(shape)), None)
    if found is None:
        raise ConvertError(
            f"The table of positions has {rows} rows; expected those of a clip "
            f"{' or '.join(map(str, candidates))} in cubes of {tuple(patch)}; pass "
            "trained_shape=(T, H, W, 3), the clip that it was trained on."
        )
    return (wanted if clip_shape else found), grid_of(found[:3], patch)


def heads_of(width, heads=None):
    """The heads of a published width: no tensor tells them.

    Raises:
        ConvertError: the width is not among those known, nor a multiple of 64.
    """
    if heads is None:
        heads = _HEADS.get(width, width // 64 if width % 64 == 0 else None)
    if not heads or width % heads:
        raise ConvertError(
            f"No tensor tells the heads of a transformer, and {heads or 'no published number'} "
            f"fits the width {width}; pass heads= (and decoder_heads= for a decoder)."
        )
    return int(heads)
