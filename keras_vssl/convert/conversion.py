"""A published checkpoint as a Keras model, and as a preset."""

import collections.abc
import dataclasses
import hashlib
import importlib
import inspect
import os

from keras_vssl.blank import blank_weights
from keras_vssl.convert.checkpoint import clean, files_of, read_state_dict
from keras_vssl.convert.mapping import ConvertError
from keras_vssl.files import atomic_folder, write_json_atomic

# In the order they are asked; each module has `recognizes`, `build`, `LICENCE` and `CITATION`.
FORMATS = (
    "tcgl",
    "vtdl",
    "prp",
    "vcop",
    "videomae",
    "timesformer",
    "xdc",
    "torchvision_video",
    "mmaction2",
    "tsm_mit",
    "c3d_caffe",
    "shuffle_learn",
    "opn",
    "tracking_triplet",
    "vmz_caffe2",
    "maclr",
    "pyslowfast",
    "pyslowfast_caffe2",
    "pytorchvideo",
    "cvrl_tf",
    "audio_ast",
    "xkd",
    "mavil",
    "lavish",
    "timm_swin",
    "audio_mae",
    "i3d",
    "coclr",
    "torchvision_s3d",
    "mil_nce",
    "s3dg_kinetics",
    "crisscross",
    "replai",
    "slic",
    "vjepa",
    "vivit",
    "torchvision_image",
    "vatt",
    "everything_at_once",
    "word_bag",
    "bn_inception",
    "av_hubert",
    "raven",
    "mmv",
)


@dataclasses.dataclass
class Converted:
    """What `convert` returns.

    Attributes:
        model: a backbone; a task where the checkpoint holds a head as well (`VideoClassifier`,
            `VCOP`, `AudioClassifier`); an `OrderHead` for a head alone, a `MaskedDecoder` where
            the decoder alone was asked for.
        provenance: dict with `source`, `sha256`, `format`, `licence`, `citation`.
    """

    model: object
    provenance: dict

    def save(self, folder):
        """Writes the model as a preset with `provenance.json`; complete or not at all."""
        if not hasattr(self.model, "save_to_preset"):
            raise ConvertError(
                f"A {type(self.model).__name__} alone can't be a preset; convert a checkpoint "
                f"that holds its backbone too."
            )
        with atomic_folder(folder) as temporary:
            self.model.save_to_preset(temporary)
            write_json_atomic(os.path.join(temporary, "provenance.json"), self.provenance)


def convert(source, out=None, format=None, **options):
    """Turns a published checkpoint into a model, and into a preset where `out` is given.

    The architecture (class, width, depth, middle widths, classes) is read from the names and
    shapes of the tensors. Every tensor must find its place and every variable its tensor.

    Args:
        source: path of a `torch.save`, `.safetensors` or `.npz` file or of a TensorFlow checkpoint
            (its prefix or its `.index` file), or a dict of name to array or tensor.
        out: path of the preset folder to write, or `None`.
        format: one of `FORMATS`, or `None` to recognise it.
        **options: what a checkpoint does not tell: `epsilon` (of batch normalisation),
            `stem_pool`, `stem_stride` and `dilate_last` (Slow), `dense_shape` (fc6 of C3D and
            CaffeNet), `fold` (batch normalisation into kernels, CaffeNet),
            `heads`, `clip_shape` and `trained_shape` (transformers; tables of positions are
            interpolated), `decoder_heads` and `ratio` (VideoMAE), `rope` and `uniform_power`
            (V-JEPA),
            `frames`, `bands`, `stride`, `front_end` and `decoder_only` (of sound),
            `role` and `patch` (XKD), `sound_shape` and `form` (LAVISH), `window`
            and `trained_windows` (Swin V2),
            `stem_pool_stride` and `stage_pool` (I3D's ResNet), `fraction` (TSM's shift), `bgr`
            (BN-Inception), `slow` (CoCLR's stem), `part` (which of several networks), `backbone_only=True` (leave
            classifiers out), `clip`, `mean`, `std`, `dtype`, `licence`, `citation`.

    Returns:
        A `Converted`.

    Raises:
        ConvertError: the file can't be read, its format is unknown, an option is unknown, or
            tensors are missing, misshapen or left over (all are named).

    Example:

    ```python
    convert("r2plus1d_18-91a641e6.pth", "r2plus1d_18_kinetics400")
    backbone = keras_vssl.backbones.R2Plus1D.from_preset("r2plus1d_18_kinetics400")
    ```
    """
    if isinstance(source, collections.abc.Mapping):
        state = clean(dict(source))
        name, digest = None, None
    else:
        state = read_state_dict(source)
        name, digest = os.path.basename(os.fspath(source)), _sha256(files_of(source))

    module_name, module = _find(state, format)
    licence = options.pop("licence", module.LICENCE)
    citation = options.pop("citation", module.CITATION)
    accepted = set(list(inspect.signature(module.build).parameters)[1:])
    if "backbone_options" in accepted:
        accepted = accepted - {"backbone_options"} | {"clip", "mean", "std", "dtype"}
    if unknown := sorted(set(options) - accepted):
        raise ConvertError(
            f"Format {module_name!r} has no option {', '.join(unknown)}; it takes "
            f"{', '.join(sorted(accepted))}, licence, citation."
        )
    with blank_weights():
        model, mapping = module.build(state, **options)
    mapping.place(state, model, release=True)
    # What is left of the file is let go before the preset is written.
    del state, mapping, source
    converted = Converted(
        model,
        {
            "source": name,
            "sha256": digest,
            "format": module_name,
            "licence": licence,
            "citation": citation,
        },
    )
    if out is not None:
        converted.save(out)
    return converted


def _find(state, format):
    if format is not None and format not in FORMATS:
        raise ConvertError(f"Unknown format {format!r}; choose one of {', '.join(FORMATS)}.")
    for name in [format] if format else FORMATS:
        module = importlib.import_module(f"keras_vssl.convert.{name}")
        if format or module.recognizes(state):
            return name, module
    shown = ", ".join(list(state)[:6])
    raise ConvertError(
        f"No known format has tensors named like these: {shown}{', ...' if len(state) > 6 else ''}."
        f" Known are {', '.join(FORMATS)}."
    )


def _sha256(paths):
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
