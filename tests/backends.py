"""Runs checks on every installed backend: here, and in one subprocess for each other one.

    KERAS_BACKEND=jax python -m tests.backends MODULE [MODULE ...]

calls the `main` of each test module under one backend.
"""

import gc
import importlib
import importlib.util
import os
import pathlib
import subprocess
import sys
import weakref

import keras
import numpy as np
from keras import ops

ROOT = pathlib.Path(__file__).parents[1]
INSTALLED = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]


OTHERS = [name for name in INSTALLED if name != keras.config.backend()]


def python(backend, *arguments, env=None):
    """Runs Python from the project's root under a backend; fails with its output.

    Returns:
        str, what it printed.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": str(ROOT),
            # Compiling is what the tests wait for; what comes out runs once.
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
            **(env or {}),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{backend}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def run(function, *arrays, jit=False):
    """The outputs of a function of tensors as NumPy, traced into one program or not.

    PyTorch has no trace: it runs eagerly either way.
    """
    tensors = [ops.convert_to_tensor(a) for a in arrays]
    backend = keras.config.backend()
    if jit and backend == "tensorflow":
        import tensorflow as tf

        function = tf.function(function)
    elif jit and backend == "jax":
        import jax

        function = jax.jit(function)
    return keras.tree.map_structure(to_numpy, function(*tensors))


def infer(model, *arguments):
    """What a model gives in inference mode: traced on JAX, which else compiles every operation.

    What was compiled stays with the model and serves its later calls of the same shapes.
    """
    tensors = keras.tree.map_structure(ops.convert_to_tensor, arguments)
    if keras.config.backend() != "jax":
        return model(*tensors, training=False)
    import jax

    if model not in _COMPILED:
        reference = weakref.ref(model)

        def call(trainable, others, *tensors):
            return reference().stateless_call(trainable, others, *tensors, training=False)[0]

        _COMPILED[model] = jax.jit(call)
    trainable = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    return _COMPILED[model](trainable, others, *tensors)


_COMPILED = weakref.WeakKeyDictionary()


def value_and_grad(function, *arrays):
    """The scalar value of a function and its gradients with respect to every array."""
    backend = keras.config.backend()
    tensors = [ops.convert_to_tensor(a) for a in arrays]
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        gradients = tape.gradient(value, tensors, unconnected_gradients="zero")
    elif backend == "jax":
        import jax

        value, gradients = jax.value_and_grad(function, argnums=tuple(range(len(tensors))))(
            *tensors
        )
    else:
        tensors = [t.detach().requires_grad_(True) for t in tensors]
        value = function(*tensors)
        value.backward()
        gradients = [np.zeros(t.shape, "float32") if t.grad is None else t.grad for t in tensors]
    return float(to_numpy(value)), [to_numpy(g) for g in gradients]


def to_numpy(tensor):
    """A tensor as NumPy; bfloat16 as float32."""
    if isinstance(tensor, np.ndarray):
        return tensor
    if "float" in keras.backend.standardize_dtype(tensor.dtype):
        tensor = ops.cast(tensor, "float32")
    return ops.convert_to_numpy(tensor)


def main(modules):
    for name in modules:
        keras.backend.clear_session()
        gc.collect()
        importlib.import_module(name).main()
        print(f"{name} passed", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
