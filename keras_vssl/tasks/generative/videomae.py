"""VideoMAE and VideoMAE V2: masked autoencoding of video."""

import keras
import numpy as np
from keras import ops

from keras_vssl.data.samplers import Spatial, StridedClip
from keras_vssl.distribution import replica_share
from keras_vssl.layers import masking
from keras_vssl.layers.masking import fixed_mask
from keras_vssl.layers.patches import patchify, unpatchify
from keras_vssl.layers.pixel_decoder import PixelDecoder
from keras_vssl.losses.pixels import channel_moments, channel_normalized, masked_mse
from keras_vssl.tasks.task import Recipe, Task


@keras.saving.register_keras_serializable(package="keras_vssl")
class VideoMAE(Task):
    """Learns video by filling in the pixels of the 90 % of its cubes that are hidden.

    The hidden places are the same in all frames, so that nothing can be copied from a moment
    before or after; the encoder sees the visible cubes alone, which makes it cheap. A small
    decoder gets these and a learned token for each hidden cube, and predicts the cube's pixels.

    **Views**: 1 clip of the backbone's frames and size, stride 4, a corner crop of several scales
    and ratios; no colour, no flip.

    **Objective**: the mean squared error over the hidden cubes, each normalised in each channel,
    `L = mean |p - (x - mean(x)) / (std(x) + 1e-6)|^2`. A constant prediction of 0 gives
    511/512 with cubes of 2 x 16 x 16 (less where cubes are of one colour).

    VideoMAE V2 is `decoder_ratio=0.5`: the decoder predicts half of the cubes, chosen by the
    running cell; those among them that the encoder saw do not count. `copies=4` is its repeated
    augmentation.

    Args:
        backbone: `VideoViT` with joint attention and no class token.
        decoder_width, decoder_heads: ints or `None`: half of the encoder's.
        decoder_depth: int, blocks. The scripts have 4 for S, B and g, 12 for L and H.
        decoder_mlp_width: int or `None`: 4 times the width.
        ratio: float, the share of places that is hidden (UCF101: 0.75).
        masking: "tube" or "random" (each cube on its own; the paper's ablation).
        decoder_ratio: 0 (all hidden cubes are decoded) or 0.5.
        stride: int or `None`: that of `backbone.clip`. 2 for Something-Something.
        copies: int, crops and masks of one clip in a batch.
        flip: float, probability of mirroring.

    Training draws a mask for each clip on the device. In inference all clips have the same fixed
    mask, so that outputs depend on the clip alone. `explained_variance`, logged, is 0 for the best
    constant prediction and 1 for a perfect one.

    Example:

    ```python
    task = keras_vssl.tasks.VideoMAE(keras_vssl.backbones.VideoViT.from_preset("video_vit_base"))
    task.fit(videos, epochs=1600)
    pictures = task.reconstruct(clips)  # uint8, as the clips
    ```

    Reference:
        Tong, Song, Wang, Wang. VideoMAE: Masked autoencoders are data-efficient learners for
        self-supervised video pre-training. NeurIPS 2022. Fine-tuned, Kinetics-400 (B, 1600
        epochs): 81.5 top-1; Something-Something V2 (B, 2400): 70.8; UCF101 (B, no other data): 91.3.
        Wang et al. VideoMAE V2: Scaling video masked autoencoders with dual masking. CVPR 2023.
        Kinetics-400 (g): 87.2.
    """

    recipe = Recipe(1600, 240000, 2048, "Kinetics-400 (about 240,000 videos)", "official scripts")
    citation = (
        "Z. Tong, Y. Song, J. Wang, L. Wang. VideoMAE: Masked autoencoders are data-efficient "
        "learners for self-supervised video pre-training. NeurIPS 2022."
    )

    def __init__(
        self,
        backbone,
        decoder_width=None,
        decoder_depth=4,
        decoder_heads=None,
        decoder_mlp_width=None,
        ratio=0.9,
        masking="tube",
        decoder_ratio=0.0,
        stride=None,
        copies=1,
        flip=0.0,
        **kwargs,
    ):
        _check(backbone, masking, decoder_ratio)
        frames, *size, _ = backbone.clip_shape
        stride = backbone.clip["stride"] if stride is None else int(stride)
        spatial = Spatial(None, tuple(size), "multi_scale", flip=float(flip))
        super().__init__(backbone, sampler=StridedClip(frames, stride, copies, spatial), **kwargs)
        self.ratio, self.masking, self.decoder_ratio = float(ratio), masking, float(decoder_ratio)
        self.decoder = PixelDecoder(
            int(np.prod(backbone.grid)),
            3 * int(np.prod(backbone.patch)),
            decoder_width or backbone.width // 2,
            decoder_depth,
            decoder_heads or max(1, backbone.heads // 2),
            decoder_mlp_width,
            backbone.epsilon,
            name="decoder",
            dtype=backbone.dtype_policy,
        )
        self.decoder.build((None, None, backbone.width))
        # Bool [N], the same for every clip and on every back end.
        self.inference_mask = fixed_mask(backbone.grid, self.ratio, tube=masking == "tube")
        self.hidden = int(self.inference_mask.sum())
        self.generator = keras.random.SeedGenerator()
        self.explained = keras.metrics.Mean(name="explained_variance")
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """See `predict_hidden`; with masks drawn in training, fixed ones in inference."""
        clips = self._flat(inputs)
        batch, grid, left_out = ops.shape(clips)[0], self.backbone.grid, None
        if training:
            draw = masking.tube_mask if self.masking == "tube" else masking.random_mask
            mask = draw(batch, grid, self.ratio, self.generator)
        else:
            mask = ops.repeat(ops.convert_to_tensor(self.inference_mask)[None], batch, axis=0)
        if self.decoder_ratio:
            starts = ops.zeros((batch,), "int32")
            if training:
                starts = keras.random.randint((batch,), 0, 4, seed=self.generator)
            left_out = masking.running_cell_mask(grid, starts)
        return self.predict_hidden(clips, mask, left_out, training=training)

    def predict_hidden(self, clips, mask, left_out=None, training=None):
        """Predictions for the hidden cubes.

        Args:
            clips: `[B, T, H, W, 3]`, as the backbone takes them.
            mask: bool `[B, N]`, `hidden` True a row: hidden from the encoder.
            left_out: bool `[B, N]` or `None`, half True a row: not decoded. Then the other half
                is decoded, whether hidden or not.
            training: bool.

        Returns:
            dict: "prediction" float32 `[B, M, t * h * w * 3]`, normalised pixels; "index" int32
            `[B, M]`, which tokens these are; "weight" float32 `[B, M]`, 1 for those that the
            encoder did not see.
        """
        visible, decoded = masking.split_indices(mask, self.hidden)
        if left_out is not None:
            decoded, _ = masking.split_indices(left_out, mask.shape[1] // 2)
        encoded = self.encode_visible(clips, visible, training)
        weight = ops.take_along_axis(ops.cast(mask, "float32"), decoded, axis=1)
        prediction = self.decoder(encoded, visible, decoded, training=training)
        return {"prediction": prediction, "index": decoded, "weight": weight}

    def encode_visible(self, clips, visible, training=None):
        """The encoder's outputs `[B, M, width]` for the tokens `visible`, int32 `[B, M]`."""
        tokens = masking.gather_tokens(self.backbone.embed_tokens(clips), visible)
        return self.backbone.encode_tokens(tokens, training=training)

    def patches(self, clips):
        """The cubes `[B, N, t * h * w * 3]` of clips, float32 RGB in [0, 1]."""
        mean, std = (
            ops.convert_to_tensor(v, "float32") for v in (self.backbone.mean, self.backbone.std)
        )
        pixels = ops.cast(self.backbone.normalize(clips), "float32") * std + mean
        return patchify(pixels, self.backbone.patch)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        patches = masking.gather_tokens(self.patches(self._flat(x)), y_pred["index"])
        target, weight = channel_normalized(patches), y_pred["weight"]
        error = ops.mean(masked_mse(y_pred["prediction"], target, weight))
        floor = ops.mean(masked_mse(ops.zeros_like(target), target, weight))
        self.explained.update_state(1.0 - ops.stop_gradient(error / ops.maximum(floor, 1e-6)))
        return replica_share(error)

    def reconstruct(self, clips, mask=None):
        """Clips whose hidden cubes are the predictions, for the eye.

        A prediction is of normalised pixels: it gets the mean and the deviation of the cube that
        it stands for, as the official pictures do.

        Args:
            clips: uint8 `[B, T, H, W, 3]`.
            mask: bool `[B, N]`, `hidden` True a row, or `None`: the fixed one.

        Returns:
            uint8 array `[B, T, H, W, 3]`.
        """
        grid, clips = self.backbone.grid, ops.convert_to_tensor(clips)
        if mask is None:
            mask = np.repeat(self.inference_mask[None], clips.shape[0], axis=0)
        found = self.predict_hidden(clips, ops.convert_to_tensor(mask), training=False)
        patches = self.patches(clips)
        hidden = masking.gather_tokens(patches, found["index"])
        mean, deviation = channel_moments(hidden)
        shape = ops.shape(hidden)
        pixels = ops.reshape(found["prediction"], (*shape[:2], -1, 3)) * deviation + mean
        patches = masking.scatter_tokens(patches, found["index"], ops.reshape(pixels, shape))
        pictures = ops.convert_to_numpy(unpatchify(patches, grid, self.backbone.patch))
        return np.clip(np.round(255.0 * pictures), 0, 255).astype("uint8")

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # Official scripts; optim_factory.py lets no vector decay.
        if optimizer is None:
            rate = self.recipe.rates(
                1.5e-4, 40, steps=steps, batch_size=batch_size, minimum=1e-5, start=1e-6
            )
            optimizer = keras.optimizers.AdamW(rate, weight_decay=0.05, beta_1=0.9, beta_2=0.95)
            vectors = [v for v in self.trainable_variables if len(v.shape) < 2]
            optimizer.exclude_from_weight_decay(vectors)
        self.compile(optimizer)

    def chance(self, batch_size):
        return {"explained_variance": 0.0}

    def get_config(self):
        return {
            **super().get_config(),
            "decoder_width": self.decoder.width,
            "decoder_depth": self.decoder.depth,
            "decoder_heads": self.decoder.heads,
            "decoder_mlp_width": self.decoder.mlp_width,
            "ratio": self.ratio,
            "masking": self.masking,
            "decoder_ratio": self.decoder_ratio,
            "stride": self.sampler.stride,
            "copies": self.sampler.copies,
            "flip": self.sampler.spatial.flip,
        }

    def _flat(self, inputs):
        clips = self.clips(inputs)
        return ops.reshape(clips, (-1, *clips.shape[2:]))


def _check(backbone, masking, decoder_ratio):
    if getattr(backbone, "attention", None) != "joint" or backbone.class_token:
        raise ValueError(
            "Expected a VideoViT backbone with joint attention and no class token, received "
            f"{type(backbone).__name__}; e.g. VideoViT.from_preset('video_vit_base')."
        )
    if masking not in ("tube", "random"):
        raise ValueError(f'Expected masking "tube" or "random", received {masking!r}.')
    if decoder_ratio not in (0, 0.5):
        raise ValueError(f"Expected decoder_ratio 0 or 0.5, received {decoder_ratio}.")
