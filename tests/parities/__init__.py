"""What answers for each parity fixture; one module a family of fixtures.

A module has `outputs(meta, weights, inputs, expected)`, which returns a dict of arrays with the
names of `expected`. `meta` is the fixture's JSON object and its `name`; `weights` are named as in
the published checkpoint, and go through `keras_vssl.convert` wherever a checkpoint would.
"""

import importlib

# Start of a fixture's name -> module here; the longest start that fits answers.
FIXTURES = {
    "vcop": "residual",
    "backbone_c3d": "residual",
    "backbone_r3d": "residual",
    "audio_frontends": "sound",
    "backbone_audio_vit": "audio_vit",
    "backbone_audio_vit-fbank": "sound",
    "backbone_slow_r50": "slow",
    "cvrl-r3d": "slow",
    "cvrl-loss": "cvrl",
    "cvrl-sampler": "cvrl",
    "modist-dense_slow": "slow",
    "modist-head": "modist",
    "videomae": "video_vit",
    "backbone_video_vit": "video_vit",
}


class ParityError(ValueError):
    """A fixture that can't be compared, and why."""


def find(name):
    """The module that answers for a fixture.

    Args:
        name: the fixture's name, `slug-variant`.

    Raises:
        ParityError: none does.
    """
    module = module_name(name)
    if module is None:
        raise ParityError(
            f"No network here answers for fixture {name}: its name starts with none of "
            f"{', '.join(FIXTURES)}."
        )
    return importlib.import_module(f"tests.parities.{module}")


def module_name(name):
    """The entry of `FIXTURES` for a fixture's name, or `None`."""
    slug = name.split("-")[0]
    fitting = [key for key in FIXTURES if key.split("-")[0] == slug and name.startswith(key)]
    return FIXTURES[max(fitting, key=len)] if fitting else None
