"""Which number format to compute in on this machine."""

import functools

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
# oneDNN's filter gradient of a 3-D convolution in bfloat16 reads memory that nothing was written to.
# TensorFlow 2.21, 16x2x6x6x64 clips, 3x3x3x64 kernel, a CPU with avx512_bf16: 299 of 299 repeated calls
# differed from the first, and R3D-10 of width 16 was NaN within 30 steps; torch 2.13: NaN in about 40 %
# of calls. float32 repeats bit for bit.
CPU_REASON = "in bfloat16 a CPU's 3-D convolutions can give wrong or NaN weight gradients"


def gpus():
    """Names of the GPUs and TPUs that the active Keras backend can use.

    Imports Keras and its backend.
    """
    import keras

    backend = keras.config.backend()
    if backend == "torch":
        import torch

        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if backend == "tensorflow":
        import tensorflow as tf

        # Logical devices would take hold of the GPU's memory before a user could limit it.
        devices = tf.config.list_physical_devices()
        return [device.name for device in devices if device.device_type in ("GPU", "TPU")]
    return [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]


@functools.cache
def is_cpu_only():
    """Whether there is neither GPU nor TPU; asked once a process, since layers ask at each trace."""
    return not gpus()


def choose(precision="auto", accelerators=None):
    """The dtype policy for a wish, and the reason in a few words.

    Args:
        precision: "auto", "float32", "mixed_bfloat16" or "mixed_float16". "auto" is
            "mixed_bfloat16" where there is a GPU or TPU, else "float32", see `CPU_REASON`.
        accelerators: list of str; None asks the active backend.

    Returns:
        `(policy, reason)`, two str.

    Example:

    ```python
    policy, reason = keras_vssl.precision.choose("auto")
    keras.config.set_dtype_policy(policy)
    ```
    """
    if precision not in PRECISIONS:
        raise ValueError(f"Expected precision to be one of {PRECISIONS}, received {precision!r}.")
    accelerators = gpus() if accelerators is None else accelerators
    if precision != "auto":
        risky = "16" in precision and not accelerators
        return precision, f"as asked; beware, {CPU_REASON}" if risky else "as asked"
    if accelerators:
        more = f" and {len(accelerators) - 1} more" if len(accelerators) > 1 else ""
        return "mixed_bfloat16", f"{accelerators[0]}{more} is there"
    return "float32", f"no GPU; {CPU_REASON}"
