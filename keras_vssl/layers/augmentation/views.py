"""Ready chains of published methods."""

from keras_vssl.layers.augmentation.blur import GaussianBlur
from keras_vssl.layers.augmentation.clip_augmentation import ClipAugmentation
from keras_vssl.layers.augmentation.color_jitter import ColorJitter
from keras_vssl.layers.augmentation.crop import RandomResizedCrop
from keras_vssl.layers.augmentation.flip import RandomFlip
from keras_vssl.layers.augmentation.grayscale import RandomGrayscale
from keras_vssl.layers.augmentation.solarization import Solarize


def contrastive_views(
    size,
    asymmetric=True,
    strength=1.0,
    jitter=0.8,
    grayscale=0.2,
    sigma=(0.1, 2.0),
    area=None,
    flip=0.0,
    seed=None,
    **kwargs,
):
    """Two views with strong colour changes and blur, SimCLR's and BYOL's carried over to clips.

    Args:
        size: int or `(height, width)` of the clips; the blur's kernel is a tenth of the height.
        asymmetric: bool. `True`: the first view is always blurred, the second one with
            probability 0.1, and solarised with 0.2. `False`: each is blurred with 0.5.
        strength: float, of the colour jitter: brightness, contrast and saturation 0.8, hue 0.2
            times it.
        jitter, grayscale: floats, probabilities.
        sigma: `(low, high)`, of the blur, pixels.
        area: `(least, most)` share of the frame for a crop on the device, aspect ratio 0.5 to 2;
            `None` if the clips come cropped.
        flip: float, probability of mirroring on the device.
        seed: int or `None`.
        **kwargs: of the layer, e.g. `dtype`.

    Returns:
        `ClipAugmentation` for `[B, 2, T, H, W, 3]`.

    Reference:
        [Qian et al. CVPR 2021](https://arxiv.org/abs/2008.03800), official code (asymmetric) and
        Sec. 3.3 (not).
    """
    height = size if isinstance(size, int) else size[0]
    seeds = _seeds(seed)
    shared = []
    if area is not None:
        crop = RandomResizedCrop(size, area, (0.5, 2.0), log_ratio=False, seed=next(seeds))
        shared.append(crop)
    if flip:
        shared.append(RandomFlip(flip, seed=next(seeds)))
    strong = 0.8 * strength
    shared.append(
        ColorJitter(strong, strong, strong, 0.2 * strength, p=jitter, seed=next(seeds)),
    )
    shared.append(RandomGrayscale(grayscale, seed=next(seeds)))

    def blur(p):
        return GaussianBlur(max(height // 10, 1), sigma, p, padding="zero", seed=next(seeds))

    if not asymmetric:
        return ClipAugmentation([*shared, blur(0.5)], **kwargs)
    second = [blur(0.1), Solarize(0.2, seed=next(seeds))]
    return ClipAugmentation(shared, [[blur(1.0)], second], **kwargs)


def jittered_views(
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    jitter=0.8,
    grayscale=0.2,
    blur=0.5,
    blur_size=11,
    sigma=(0.1, 2.0),
    contrast_over="frame",
    per="clip",
    seed=None,
    **kwargs,
):
    """All views alike: colour jitter, grey and blur by torchvision's definitions.

    MoDist (hue 0, `blur_size` 3), CrissCross (hue 0.2, jitter 1), SLIC, CEP, XKD and others are
    this chain with their numbers. A probability of 0 leaves a step out.

    Args:
        brightness, contrast, saturation, hue: strengths, see `ColorJitter`.
        jitter, grayscale, blur: floats, probabilities.
        blur_size: int, taps. sigma: `(low, high)`, pixels.
        contrast_over: `"frame"` (torchvision on a clip's frames) or `"clip"`.
        per: `"clip"`; `"frame"` draws colour anew for every frame.
        seed: int or `None`.
        **kwargs: of the layer, e.g. `dtype`.

    Returns:
        `ClipAugmentation` for any number of views.
    """
    seeds = _seeds(seed)
    color = ColorJitter(
        brightness,
        contrast,
        saturation,
        hue,
        jitter,
        contrast_over=contrast_over,
        contrast_mean="gray",
        saturation_model="gray",
        per=per,
        seed=next(seeds),
    )
    grey = RandomGrayscale(grayscale, per=per, seed=next(seeds))
    soft = GaussianBlur(blur_size, sigma, blur, seed=next(seeds))
    return ClipAugmentation([layer for layer in (color, grey, soft) if layer.p], **kwargs)


def _seeds(seed):
    """A seed for each layer in turn; layers with one seed would draw the same numbers."""
    while True:
        yield seed
        seed = None if seed is None else seed + 1
