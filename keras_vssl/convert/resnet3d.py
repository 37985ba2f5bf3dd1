"""What SLIC and VTDL share: the R3D of kenshohara/3D-ResNets-PyTorch under its names."""

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.r3d import R3D
from keras_vssl.convert.mapping import ConvertError, count_blocks, shape_of
from keras_vssl.convert.residual import map_residual


class _Names:
    """`layer2.0.conv1`, `layer2.0.bn1`, `layer2.0.downsample.0`."""

    def conv(self, where):
        return "conv1" if where == "stem" else self._part(where, "conv", "downsample.0")

    def norm(self, where):
        return "bn1" if where == "stem" else self._part(where, "bn", "downsample.1")

    def _part(self, where, kind, shortcut):
        stage, block, part = where
        return f"layer{stage}.{block}.{shortcut if part == 'shortcut' else f'{kind}{part}'}"


def is_resnet3d(state):
    """Whether a state has such a network: convolutions over clips, at the top level."""
    stem = state.get("conv1.weight")
    return stem is not None and stem.ndim == 5 and "layer1.0.conv1.weight" in state


def build_resnet3d(state, preset, stem_pool, stem_stride, epsilon, backbone_options):
    """The `R3D` that `state` holds, and its mapping.

    Args:
        state: dict of name to array.
        preset: str, the preset whose other arguments hold.
        stem_pool, stem_stride: see `R3D`; `None` for the preset's. No tensor tells them.
        epsilon: float, of batch normalisation.
        backbone_options: dict of further arguments.
    """
    if "layer1.0.conv3.weight" in state:
        raise ConvertError(
            "The checkpoint has bottleneck blocks (layer1.0.conv3); only networks of basic blocks "
            "(18 and 34 layers, or other counts) can be converted."
        )
    width, _, frames, *_ = shape_of(state, "conv1.weight", 5)
    blocks = count_blocks(state, [rf"layer{stage}\.(\d+)\." for stage in (1, 2, 3, 4)])
    options = {"stem_pool": stem_pool, "stem_stride": stem_stride}
    if stem_pool:
        options["stem_pool_frames"] = 3
    backbone = R3D(
        **{
            **ARCHITECTURES[preset]["config"],
            **{name: value for name, value in options.items() if value is not None},
            "blocks": blocks,
            "width": width,
            "stem_kernel": frames,
            "epsilon": epsilon,
            **backbone_options,
        }
    )
    return backbone, map_residual(backbone, _Names())
