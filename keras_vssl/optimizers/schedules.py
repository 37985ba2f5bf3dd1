"""Learning rates: linear warm-up, then half a cosine, by the linear scaling rule."""

import keras


def warmup_cosine(base, steps, warmup_steps=0, *, batch_size=None, per=256, minimum=0.0, start=0.0):
    """The schedule of most self-supervised recipes, as a `CosineDecay` of Keras.

    The rate rises linearly from `start` at step 0 to `base` at step `warmup_steps`, falls along
    half a cosine to `minimum` at step `steps`, and stays there. (VideoMAE's and BEiT's tables reach
    `base` one step sooner.)

    Args:
        base: float, the highest rate, for `per` samples a step where `batch_size` is given.
        steps: int, steps of the whole run, warm-up included.
        warmup_steps: int, 0 for none: the first step then has the rate `base`.
        batch_size: int or None, samples a step over all devices. `base`, `minimum` and `start`
            are multiplied by `batch_size / per` (Goyal et al., 2017), as VideoMAE's recipe does.
        per: int.
        minimum, start: floats.

    Returns:
        `keras.optimizers.schedules.CosineDecay`.

    Raises:
        ValueError: `base` isn't positive, or the run isn't longer than its warm-up.

    Example:

    ```python
    # VideoMAE on Kinetics-400: 1.5e-4 for 256 clips, so 1.2e-3 for 2,048.
    rate = warmup_cosine(1.5e-4, 1600 * 117, 40 * 117, batch_size=2048, minimum=1e-5, start=1e-6)
    ```
    """
    if base <= 0:
        raise ValueError(f"Expected a base rate above 0, received {base}.")
    if not 0 <= warmup_steps < steps:
        raise ValueError(
            f"Expected a run longer than its warm-up, received {steps} steps with {warmup_steps} of "
            "warm-up; count steps, not epochs, and all of them."
        )
    scale = 1.0 if batch_size is None else batch_size / per
    alpha = minimum / base
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(base * scale, steps, alpha)
    return keras.optimizers.schedules.CosineDecay(
        float(start * scale),
        steps - warmup_steps,
        alpha,
        warmup_target=base * scale,
        warmup_steps=warmup_steps,
    )
