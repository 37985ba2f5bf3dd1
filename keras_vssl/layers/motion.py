"""Motion as the input of a network: frame differences, optical flow, edges of optical flow."""

import keras
from keras import ops


class MotionInput(keras.layers.Layer):
    """Base class: what was read of a video in, a float clip of three channels out.

    Computes in float32 whatever the policy; the output has the policy's compute dtype.

    Attributes:
        source: "frames" (uint8 pixels) or "flow" (optical flow, `keras_vssl.data.flow`), what it
            has to be given.
    """

    source = "flow"

    def __init__(self, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.built = True

    def call(self, inputs):
        maps = ops.cast(self.maps(ops.convert_to_tensor(inputs)), self.compute_dtype)
        return maps if maps.shape[-1] == 3 else ops.repeat(maps, 3, axis=-1)

    def maps(self, inputs):
        """The motion in float32, `[..., T, H, W, 1 or 3]`."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 3)


@keras.saving.register_keras_serializable(package="keras_vssl")
class FrameDifference(MotionInput):
    """How much each pixel changes: the mean over RGB of `|f[t+1] - f[t]|`, in three equal channels.

    Args:
        pairs: bool, the frames come as T pairs (0, 1), (2, 3), ...: each a frame and the one that
            follows it in the video, so that a clip with a stride still shows differences of
            consecutive frames. False: they are T + 1 consecutive frames.

    Call arguments:
        inputs: `[..., T + 1, H, W, 3]`, or `[..., 2 T, H, W, 3]` with `pairs`; uint8, or float in
            [0, 1].

    Returns:
        `[..., T, H, W, 3]` in [0, 1].

    Raises:
        ValueError: fewer than two frames, or an odd number of them with `pairs`.

    Reference:
        Xiao et al. ECCV 2022 (MoDist, MaCLR): the prototype in the released decoder.
    """

    source = "frames"

    def __init__(self, pairs=False, **kwargs):
        super().__init__(**kwargs)
        self.pairs = bool(pairs)

    def maps(self, inputs):
        self._count(inputs.shape)
        frames = ops.cast(inputs, "float32")
        if keras.backend.standardize_dtype(inputs.dtype) == "uint8":
            frames = frames / 255.0
        if self.pairs:
            before, after = frames[..., ::2, :, :, :], frames[..., 1::2, :, :, :]
        else:
            before, after = frames[..., :-1, :, :, :], frames[..., 1:, :, :, :]
        return ops.mean(ops.abs(after - before), axis=-1, keepdims=True)

    def _count(self, shape):
        """Frames of the result."""
        frames = shape[-4] if len(shape) >= 4 else None
        if not frames or shape[-1] != 3 or frames < 2 or (self.pairs and frames % 2):
            need = "an even number of frames" if self.pairs else "two frames or more"
            raise ValueError(
                f"Expected pixels [..., T, H, W, 3] with {need}, received the shape {tuple(shape)}."
            )
        return frames // 2 if self.pairs else frames - 1

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-4], self._count(input_shape), *input_shape[-3:])

    def get_config(self):
        return {**super().get_config(), "pairs": self.pairs}


@keras.saving.register_keras_serializable(package="keras_vssl")
class FlowChannels(MotionInput):
    """Optical flow as it is: u, v and the magnitude, the magnitude without sign.

    Mirroring a clip left and right changes the sign of u; who mirrors has to do that
    (`keras_vssl.data.flow` does).

    Args:
        clamp: float, flow beyond it (pixels a frame) counts as it.
        scale: float, what the flow is divided by. Equal to `clamp`, u and v are in [-1, 1].

    Call arguments:
        inputs: float `[..., T, H, W, 2]`, u to the right and v downwards.

    Returns:
        `[..., T, H, W, 3]`: u, v in `[-clamp, clamp] / scale`, magnitude in `[0, clamp] / scale`.
    """

    def __init__(self, clamp=10.0, scale=10.0, **kwargs):
        super().__init__(**kwargs)
        self.clamp, self.scale = _positive(clamp=clamp, scale=scale)

    def maps(self, inputs):
        flow = _checked(inputs)
        flow = ops.concatenate([flow, _length(flow)], axis=-1)
        return ops.clip(flow, -self.clamp, self.clamp) / self.scale

    def get_config(self):
        return {**super().get_config(), "clamp": self.clamp, "scale": self.scale}


@keras.saving.register_keras_serializable(package="keras_vssl")
class FlowEdges(MotionInput):
    """Where optical flow changes from place to place: its Sobel gradient's magnitude.

    A camera that moves shifts everything alike and leaves no edge; what moves on its own is
    outlined (the idea of motion boundary histograms, Dalal et al. ECCV 2006). Mirroring needs no
    change of sign. At the border the outermost pixels are repeated, so constant flow gives zero
    everywhere.

    Whether the paper takes the edges of the magnitude, and where it clamps, is not published; the
    defaults are a choice of this library.

    Args:
        of_magnitude: bool, edges of `sqrt(u^2 + v^2)`. False: of u and v, all four derivatives
            taken together, which also sees where only the direction changes.
        clamp: float, edges beyond it count as it (pixels a frame, times the kernel's 8).
        scale: float, what the edges are divided by.

    Call arguments:
        inputs: float `[..., T, H, W, 2]`.

    Returns:
        `[..., T, H, W, 3]` in `[0, clamp] / scale`, three equal channels.

    Reference:
        Xiao et al. ECCV 2022 (MoDist, MaCLR).
    """

    def __init__(self, of_magnitude=True, clamp=10.0, scale=10.0, **kwargs):
        super().__init__(**kwargs)
        self.of_magnitude = bool(of_magnitude)
        self.clamp, self.scale = _positive(clamp=clamp, scale=scale)

    def maps(self, inputs):
        flow = _checked(inputs)
        maps = _length(flow) if self.of_magnitude else flow
        edges = _length(ops.concatenate(_sobel(maps), axis=-1))
        return ops.clip(edges, 0.0, self.clamp) / self.scale

    def get_config(self):
        return {
            **super().get_config(),
            "of_magnitude": self.of_magnitude,
            "clamp": self.clamp,
            "scale": self.scale,
        }


def _sobel(maps):
    """The derivatives along x and y of `[..., H, W, C]` by the 3x3 Sobel kernels, same size."""
    x = ops.concatenate([maps[..., :1, :], maps, maps[..., -1:, :]], axis=-2)
    x = ops.concatenate([x[..., :1, :, :], x, x[..., -1:, :, :]], axis=-3)
    across = x[..., :, 2:, :] - x[..., :, :-2, :]
    down = x[..., 2:, :, :] - x[..., :-2, :, :]
    across = across[..., :-2, :, :] + 2.0 * across[..., 1:-1, :, :] + across[..., 2:, :, :]
    down = down[..., :, :-2, :] + 2.0 * down[..., :, 1:-1, :] + down[..., :, 2:, :]
    return across, down


def _length(vectors):
    return ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True))


def _checked(flow):
    if len(flow.shape) < 3 or flow.shape[-1] != 2:
        raise ValueError(
            f"Expected optical flow [..., T, H, W, 2] (u and v), received the shape "
            f"{tuple(flow.shape)}."
        )
    return ops.cast(flow, "float32")


def _positive(**values):
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"Expected {name} above 0, received {value}.")
    return [float(value) for value in values.values()]
