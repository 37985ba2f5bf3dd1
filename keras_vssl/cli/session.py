"""Starts Keras for a command: backend, a quiet terminal, seed, precision."""

import contextlib
import importlib.util
import os
import sys
import tempfile

from keras_vssl.cli.options import BACKENDS


def start(args, quiet=False):
    """Imports Keras as the arguments say and prints one line about what was picked.

    Args:
        args: namespace with `backend`, `precision` and perhaps `seed`.
        quiet: bool, leave that line out.

    Returns:
        dict with "backend", "precision" and "reason".
    """
    backend = pick_backend(args.backend)
    quiet_environment(backend)
    from keras_vssl import precision

    with silenced():
        import keras

        policy, reason = precision.choose(args.precision)
    if getattr(args, "seed", None) is not None:
        keras.utils.set_random_seed(args.seed)
    keras.config.set_dtype_policy(policy)
    if not quiet:
        print(f"{backend}, precision {policy} ({reason})", file=sys.stderr)
    return {"backend": backend, "precision": policy, "reason": reason}


def quiet_environment(backend):
    """Sets what must be in the environment before Keras is imported."""
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # TensorFlow otherwise takes the whole GPU, also beside another process that needs some.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def pick_backend(wish=None):
    """The backend to use: the wish, else $KERAS_BACKEND, else the first one installed."""
    wish = wish or os.environ.get("KERAS_BACKEND")
    if wish:
        if wish in BACKENDS and importlib.util.find_spec(wish) is None:
            raise ValueError(f"The backend {wish} is not installed; pip install {wish}.")
        return wish
    for name in BACKENDS:
        if importlib.util.find_spec(name) is not None:
            return name
    raise ValueError(
        "Keras needs a backend and none is installed; pip install tensorflow (or jax, or torch)."
    )


@contextlib.contextmanager
def silenced():
    """Holds back what native libraries write to stderr; shown after all if the block fails.

    TensorFlow's C++ start-up writes past Python, and its first lines ignore every log level.
    """
    if os.environ.get("KERAS_VSSL_DEBUG"):
        yield
        return
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
