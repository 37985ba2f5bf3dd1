"""Says what works on this machine: versions, backend, devices, decoder (with a test decode).

Nothing is fetched from a network. Exit status 1 where something that is needed does not work.
"""

import json

from keras_vssl.cli import session
from keras_vssl.cli.options import BACKENDS

EXAMPLES = """\
examples:
  keras-vssl doctor
  keras-vssl doctor --backend jax --json
"""


def configure(parser):
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--backend", choices=BACKENDS, help="examine this backend")


def run(args):
    session.quiet_environment(session.pick_backend(args.backend))
    from keras_vssl import checkup

    with session.silenced():
        found = checkup.doctor()
    print(json.dumps(found, indent=2) if args.json else checkup.text(found))
    return 0 if found["ok"] else 1
