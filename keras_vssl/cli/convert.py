"""Turns a published checkpoint file into a preset.

The architecture is read from the names and shapes of the tensors; every tensor has to find its
place. PyTorch files are read with weights only: nothing in them is run.
"""

import json
import os

from keras_vssl.cli import inputs, options, session

EXAMPLES = """\
examples:
  keras-vssl convert r2plus1d_18-91a641e6.pth --out r2plus1d_18_kinetics/
  keras-vssl convert vcop r3d_cl16_it8_tl3.pt --out vcop_r3d/
  keras-vssl convert xdc video_audio.pth --set part=audio --out xdc_audio/
  keras-vssl presets --kind checkpoint          # what the authors publish, and where
  keras-vssl convert model.pth --format mmaction2 --set epsilon=1e-3 --out preset/
"""


def configure(parser):
    parser.add_argument(
        "source",
        metavar="FILE",
        nargs="+",
        help="[FORMAT] FILE: .pt, .pth, .safetensors, .npz, .pkl, .caffemodel, or the .index file "
        "of a TensorFlow checkpoint",
    )
    parser.add_argument("--format", help="vcop, torchvision_video, mmaction2, c3d_caffe, ...")
    parser.add_argument("--out", metavar="PRESET", required=True, help="the preset folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the folder")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what a checkpoint does not tell, e.g. epsilon=1e-3, backbone_only=true",
    )
    parser.add_argument("--backend", choices=options.BACKENDS, help="Keras' backend")
    parser.set_defaults(precision="float32")


def run(args):
    if len(args.source) > 2:
        raise ValueError("Expected one file, or a format and a file.")
    path, form = args.source[-1], args.format
    if len(args.source) == 2:
        if form and form != args.source[0]:
            raise ValueError(f"Two formats are given, {args.source[0]} and {form}.")
        form = args.source[0]
    # A TensorFlow checkpoint may be given by what its files' names start with.
    if not os.path.isfile(path) and not os.path.isfile(f"{path}.index"):
        raise FileNotFoundError(f"There is no checkpoint file {path}.")
    if os.path.exists(args.out) and os.listdir(args.out) and not args.overwrite:
        raise ValueError(f"{args.out} is not empty; choose another --out, or --overwrite it.")
    extra = dict(map(_setting, args.set))
    session.start(args, quiet=True)
    from keras_vssl.convert import convert

    converted = convert(path, out=args.out, format=form, **extra)
    model = converted.model
    inputs.say(f"{type(model).__name__}, {model.count_params():,} parameters, "
               f"format {converted.provenance['format']}")  # fmt: skip
    print(args.out)


def _setting(text):
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"Expected --set NAME=VALUE, received {text!r}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
