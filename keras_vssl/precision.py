"""Which number format to compute in on this machine."""

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
# One of these makes a CPU faster in bfloat16 than in float32; without them bfloat16 is emulated.
BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")
# torch 2.13.0: F.conv3d(padding=1) in bfloat16 on a CPU gave non-finite weight gradients in about
# 40 % of calls, where it reads memory that nothing was written to.
TORCH_CPU = "PyTorch's 3-D convolutions in bfloat16 on a CPU can give NaN gradients"


def cpu_flags(path="/proc/cpuinfo"):
    """The CPU's feature flags as a set; empty where the system does not say."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    return set(value.split())
    except OSError:
        pass
    return set()


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


def choose(precision="auto", flags=None, accelerators=None, backend=None):
    """The dtype policy for a wish, and the reason in a few words.

    Args:
        precision: "auto", "float32", "mixed_bfloat16" or "mixed_float16". "auto" is
            "mixed_bfloat16" where there is a GPU or TPU or the CPU computes in bfloat16
            (`amx_bf16`, `avx512_bf16`), else "float32"; and "float32"
            for PyTorch on a CPU, see `TORCH_CPU`.
        flags: set of str, the CPU's flags; None reads them.
        accelerators: list of str; None asks the active backend.
        backend: str; None asks Keras.

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
    if backend is None:
        import keras

        backend = keras.config.backend()
    risky = backend == "torch" and not accelerators
    if precision != "auto":
        return precision, f"as asked; {TORCH_CPU}" if risky and "16" in precision else "as asked"
    if accelerators:
        more = f" and {len(accelerators) - 1} more" if len(accelerators) > 1 else ""
        return "mixed_bfloat16", f"{accelerators[0]}{more} is there"
    if risky:
        return "float32", TORCH_CPU
    flags = cpu_flags() if flags is None else flags
    for flag in BFLOAT16_FLAGS:
        if flag in flags:
            return "mixed_bfloat16", f"the CPU has {flag}"
    return "float32", "no GPU, and the CPU has no bfloat16 units"
