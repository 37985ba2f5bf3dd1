"""LAVISH: a frozen image transformer with adapters, as its training scripts save it."""

import re

from keras_vssl.backbones.lavish import LavishViT
from keras_vssl.backbones.lavish_swin import LavishSwin
from keras_vssl.convert.mapping import ConvertError, count_numbered, shape_of
from keras_vssl.convert.timm_swin import map_swin, swin_arguments
from keras_vssl.convert.vit import ViTMapping, heads_of

LICENCE = "MIT (badge of GenjiB/LAVISH; its AVS folder: Apache 2.0)"
CITATION = (
    "Lin et al., Vision Transformers are Parameter-Efficient Audio-Visual Learners, CVPR 2023, "
    "https://arxiv.org/abs/2212.07983"
)
# The authors publish no trained network: the table of their page holds placeholders.
CHECKPOINTS = ()

_SWIN_WINDOW = 12  # swinv2_large_window12_192_22k
_ADAPTER = re.compile(r"(audio|vis)_adapter_blocks_p[12]\.0\.my_tokens")


def recognizes(state):
    return any(map(_ADAPTER.fullmatch, state))


def build(
    state,
    clip_shape=None,
    sound_shape=None,
    heads=None,
    window=None,
    epsilon=None,
    form="ave",
    backbone_only=False,
    mean=None,
    std=None,
    dtype=None,
):
    """Builds the network that `state` belongs to, its frozen transformer included.

    Args:
        state: dict of name to array: `ViT.v...` or `swin...` and the adapters, with or without the
            classifier `mlp_class`, `mlp_class_2`.
        clip_shape: `(T, H, W, 3)`. Default: 10 segments of a square that fits the position table,
            or of 192 x 192 (Swin).
        sound_shape: (rows, columns) of a segment's spectrogram. Default: (102, 128), or the
            frames' (Swin).
        heads: int, of a ViT. Default: 64 channels a head.
        window: int, of a Swin. Default: that of its stored tables, 12 without one.
        epsilon: float, of the transformer's layer normalisations. Default: 1e-6, 1e-5 (Swin).
        form: "ave" or "avs": in the segmentation network gates come before the last layer
            normalisation, and its adapters do not use the first, though files hold it.
        backbone_only: bool, leave the classifier out.
        mean, std: 3 floats each. Default: ImageNet's.
        dtype: see `AudioVisualBackbone`.
    """
    if form not in ("ave", "avs"):
        raise ConvertError(f'`form` is "ave" or "avs", but received {form!r}.')
    classes = hidden = None
    if "mlp_class_2.weight" in state and not backbone_only:
        classes, hidden = shape_of(state, "mlp_class_2.weight", 2)
    options = {
        "adapter": adapter_options(state, "vis_adapter_blocks_p1.0.", form),
        "audio_adapter": adapter_options(state, "audio_adapter_blocks_p1.0.", form),
        "classes": classes,
        "hidden": hidden,
        "epsilon": epsilon,
        "clip_shape": clip_shape,
        "sound_shape": sound_shape,
        "mean": mean,
        "std": std,
        "dtype": dtype,
    }
    mapping = ViTMapping(state)
    options = {name: value for name, value in options.items() if value is not None}
    if "swin.patch_embed.proj.weight" in state:
        backbone = _swin(mapping, window, options)
    else:
        backbone = _vit(mapping, heads, options)
    for index in range(_depth(backbone)):
        map_adapters(mapping, index, backbone.get_layer(f"adapted{index + 1}"), form)
    names = ("mlp_class", "mlp_class_2")
    if classes:
        for name, layer in zip(names, ("head1", "head2")):
            mapping.dense(name, backbone.get_layer(layer))
    else:
        mapping.ignore(*(f"{name}.{kind}" for name in names for kind in ("weight", "bias")))
    return backbone, mapping


def _depth(backbone):
    return backbone.depth if isinstance(backbone, LavishViT) else sum(backbone.depths)


def _vit(mapping, heads, options):
    state = mapping.state
    width, _, *patch = shape_of(state, "ViT.v.patch_embed.proj.weight", 4)
    places = shape_of(state, "ViT.v.pos_embed", 3)[1]
    side = round((places - 1) ** 0.5)
    backbone = LavishViT(
        width,
        count_numbered(state, r"ViT\.v\.blocks\.(\d+)\."),
        heads_of(width, heads),
        shape_of(state, "ViT.v.blocks.0.mlp.fc1.weight", 2)[0],
        patch[0],
        positions=places,
        **{"clip_shape": (10, side * patch[0], side * patch[1], 3), **options},
    )
    mapping.patch_embed("ViT.v.patch_embed.proj", backbone.get_layer("patch_embed"))
    mapping.add("ViT.v.cls_token", backbone.get_layer("class_token").token, lambda x: x[0])
    mapping.add("ViT.v.pos_embed", backbone.get_layer("positions").table, lambda x: x[0])
    for index in range(backbone.depth):
        block = backbone.get_layer(f"adapted{index + 1}").block
        mapping.block(f"ViT.v.blocks.{index}", block)
    mapping.layer_norm("ViT.v.norm", backbone.get_layer("norm"))
    # The classifier of ImageNet-21k.
    mapping.ignore("ViT.v.head.weight", "ViT.v.head.bias")
    return backbone


def _swin(mapping, window, options):
    arguments = swin_arguments(mapping.state, "swin.", window or _SWIN_WINDOW)
    clip_shape = tuple(options.pop("clip_shape", (10, 192, 192, 3)))
    sound_shape = options.pop("sound_shape", clip_shape[1:3])
    backbone = LavishSwin(**arguments, **options, clip_shape=clip_shape, sound_shape=sound_shape)
    depths = arguments["depths"]
    numbered = [(i + 1, j + 1) for i, depth in enumerate(depths) for j in range(depth)]
    adapted = {f"layer{i}_block{j}": n for n, (i, j) in enumerate(numbered, start=1)}

    def layer(name):
        number = adapted.get(name)
        return backbone.get_layer(f"adapted{number}").block if number else backbone.get_layer(name)

    map_swin(mapping, "swin.", layer, depths)
    # The classifier of ImageNet-22k, and linear layers that the published code never calls.
    heads = ("swin.head", "swin.head.fc")
    mapping.ignore(*(f"{head}.{kind}" for head in heads for kind in ("weight", "bias")))
    mapping.ignore(*(f"adapter_token_downsampler.{i}.weight" for i in range(len(depths) - 1)))
    return backbone


def adapter_options(state, prefix, form="ave"):
    """The arguments of the `LatentAdapter` whose tensors start with `prefix`."""
    latents, width = shape_of(state, f"{prefix}my_tokens", 2)
    hidden, share = shape_of(state, f"{prefix}down_sampler.weight", 4)[:2]
    if not share or width % share or not hidden:
        raise ConvertError(
            f"{prefix}down_sampler.weight takes {share} of {width} channels; expected a divisor."
        )
    options = {
        "latents": latents,
        "reduction": width // hidden,
        "groups": width // share,
        "batch_norm": f"{prefix}bn1.weight" in state,
        "gate": f"{prefix}gate" in state,
        "norm_before": f"{prefix}ln_before.weight" in state and form == "ave",
        "norm_after": f"{prefix}ln_post.weight" in state,
        "gate_first": form == "avs",
        "latent_gate": f"{prefix}gate_tk" in state,
    }
    if form == "avs":
        options["latents_initializer"] = "zeros"
    return options


def map_adapter(mapping, prefix, adapter, form="ave"):
    """Places one adapter's tensors."""
    mapping.add(f"{prefix}my_tokens", adapter.latents)
    mapping.add(f"{prefix}gate_av", adapter.gate_other)
    if adapter.gated:
        mapping.add(f"{prefix}gate", adapter.gate)
    if adapter.latent_gated:
        mapping.add(f"{prefix}gate_tk", adapter.gate_latents)

    def kernel(array):  # [groups * out, in, 1, 1] to [groups, in, out]
        return array.reshape(adapter.groups, -1, array.shape[1]).swapaxes(1, 2)

    mapping.add(f"{prefix}down_sampler.weight", adapter.down, kernel)
    mapping.add(f"{prefix}up_sampler.weight", adapter.up, kernel)
    if adapter.batch_norm:
        mapping.norm(f"{prefix}bn1", adapter.bn1)
        mapping.norm(f"{prefix}bn2", adapter.bn2)
    if adapter.norm_before:
        mapping.layer_norm(f"{prefix}ln_before", adapter.ln_before)
    elif form == "avs":
        mapping.ignore(f"{prefix}ln_before.weight", f"{prefix}ln_before.bias")
    if adapter.norm_after:
        mapping.layer_norm(f"{prefix}ln_post", adapter.ln_post)


def map_adapters(mapping, index, adapted, form):
    """Places the four adapters of a block."""
    for part in (1, 2):
        for stream, adapters in (("vis", adapted.adapters), ("audio", adapted.other_adapters)):
            prefix = f"{stream}_adapter_blocks_p{part}.{index}."
            map_adapter(mapping, prefix, adapters[part - 1], form)
