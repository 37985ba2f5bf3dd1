"""Publishes a preset folder on the Hugging Face hub, with a model card.

Needs a token: `hf auth login`, or the variable HF_TOKEN.
"""

EXAMPLES = """\
examples:
  keras-vssl upload hf://me/vcop_r3d_18 run/
  keras-vssl upload hf://me/vcop_r3d_18 preset/ --private --licence apache-2.0
"""


def configure(parser):
    parser.add_argument("uri", metavar="hf://USER/NAME")
    parser.add_argument("folder", metavar="FOLDER", help="a preset's folder or a run folder")
    parser.add_argument("--private", action="store_true", help="only you can read it")
    parser.add_argument("--licence", "--license", help="e.g. apache-2.0")


def run(args):
    from keras_vssl import hub

    print(hub.upload_preset(args.uri, args.folder, private=args.private, licence=args.licence))
