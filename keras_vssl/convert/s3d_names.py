"""MMV's S3D-G: how Haiku names its tensors."""

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.s3d import S3D
from keras_vssl.convert.haiku import map_haiku_norm
from keras_vssl.convert.inception import SLIM_PLACES, Names, arguments, map_inception, read_s3d
from keras_vssl.convert.mapping import ConvertError

_BRANCHES = {
    "b0": "/Branch_0_Conv2d_0a_1x1",
    "b1a": "/Branch_1_Conv2d_0a_1x1",
    "b1b": "/Branch_1_Conv2d_0b_3x3",
    "b2a": "/Branch_2_Conv2d_0a_1x1",
    "b2b": "/Branch_2_Conv2d_0b_3x3",
    "b3": "/Branch_3_Conv2d_0b_1x1",
}
_CONVS = {None: "conv3_d", "spatial": "conv3_d", "temporal": "conv3_d_1"}
# Across the replicas of a TPU, or not.
_NORMS = ("__cross_replica_batch_norm", "__batch_norm")


class _HaikuNames(Names):
    channels_last = True

    def __init__(self, prefix, norm):
        super().__init__(SLIM_PLACES, _BRANCHES, _CONVS, prefix=prefix)
        self.norm = norm

    def kernel(self, unit, half=None):
        return f"{self.unit(unit)}/~/{self.parts[half]}/w"

    def gate(self, unit):
        return f"{self.unit(unit)}/self_gating"

    def gate_kernel(self, unit):
        return f"{self.gate(unit)}/w"

    def map_conv(self, mapping, unit, half, layer):
        mapping.add(self.kernel(unit, half), layer.kernel)

    def map_norm(self, mapping, unit, half, layer):
        number = "_1" if half == "temporal" else ""
        map_haiku_norm(mapping, f"{self.unit(unit)}/{self.norm}{number}", layer)

    def map_gate(self, mapping, unit, layer):
        mapping.add(f"{self.gate(unit)}/w", layer.kernel)
        mapping.add(f"{self.gate(unit)}/b", layer.bias)


def build_haiku_s3d(state, prefix, epsilon=1e-5, **backbone_options):
    """The `S3D` of a MMV checkpoint, to be mapped by `map_haiku_s3d`.

    Args:
        state: dict of name to array.
        prefix: str, see `map_haiku_s3d`.
        epsilon: float, of batch normalisation.
        **backbone_options: further arguments of `S3D`; they win over what is read.
    """
    read = read_s3d(state, _names(state, prefix))
    options = {"epsilon": epsilon, **backbone_options}
    return S3D(**arguments(ARCHITECTURES["s3dg_mmv"]["config"], read, **options))


def map_haiku_s3d(mapping, prefix, backbone, state=None):
    """Maps Haiku's names onto a `S3D`.

    A name is a module's path and a parameter: `S3D/Conv2d_2c_3x3/~/conv3_d/w` (T, H, W, I, O; the
    temporal half is `conv3_d_1`), `.../self_gating/w` (I, O) and `b`, and of batch normalisation
    `.../__cross_replica_batch_norm/scale` and `offset` (1, 1, 1, 1, C; the second one of a unit
    ends in `_1`), with the running statistics `.../~/mean_ema/average` and `~/var_ema/average`
    beside `hidden` and `counter`, which inference does not use. A network that ran on one device
    has `__batch_norm`. The units are `Conv2d_1a_7x7`, `Conv2d_2b_1x1`, `Conv2d_2c_3x3` and, in a
    block, `Mixed_3b/Branch_1_Conv2d_0b_3x3` and its kin.

    Args:
        mapping: the `Mapping` to fill.
        prefix: str, what stands before `Conv2d_1a_7x7`, such as `"S3D/"` or
            `"text_audio_video/visual_module/~/S3D/"`.
        backbone: the `S3D`.
        state: dict of name to array, which tells the kind of batch normalisation; `None` for that
            across replicas, the released one.

    Returns:
        The mapping.
    """
    return map_inception(backbone, _names(state, prefix), mapping)


def haiku_s3d_prefix(state):
    """What stands before `Conv2d_1a_7x7/~/conv3_d/w`, or `None` where no such tensor is."""
    stem = "Conv2d_1a_7x7/~/conv3_d/w"
    return next((name.removesuffix(stem) for name in state if name.endswith(stem)), None)


def _names(state, prefix):
    if prefix is None:
        raise ConvertError("The checkpoint lacks Conv2d_1a_7x7/~/conv3_d/w, the stem of S3D.")
    module = f"{prefix}Conv2d_1a_7x7"
    found = [norm for norm in _NORMS if f"{module}/{norm}/scale" in (state or ())]
    return _HaikuNames(prefix, found[0] if found else _NORMS[0])
