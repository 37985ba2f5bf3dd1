"""Small trained layers between the blocks of frozen transformers (LAVISH)."""

import keras
from keras import layers, ops

from keras_vssl.layers.normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="keras_vssl")
class LatentAdapter(layers.Layer):
    """What a stream of tokens takes from another modality's, through a few latent tokens.

    The latents L sum up the other stream y, the own tokens x read them, and a bottleneck follows:

        T = L + softmax(L y') y
        x = x + gate_av softmax(x T') T
        z = up(relu(down(x)))

    Both products are plain, without a scale or projections, so that the cost grows with the sum of
    both streams' lengths. `down` and `up` are linear maps of each token, in groups of channels.

    Args:
        latents: int, rows of L.
        reduction: int, channels over those of the bottleneck.
        groups: int, of both linear maps; it divides the bottleneck's channels.
        batch_norm: bool, after both linear maps.
        gate: bool, multiply the output by a learned number that starts from 0, so that an
            untrained adapter adds nothing.
        norm_before: bool, layer normalisation before the bottleneck.
        norm_after: bool, layer normalisation of the output.
        gate_first: bool, gate before that normalisation instead of after it. LAVISH's
            segmentation network (AVS) does, and has no `norm_before`.
        latent_gate: bool, a learned factor (1 at the start) of what the latents sum up, as in the
            second version of the code.
        latents_initializer: Keras initializer of L: uniform in [0, 1); LAVISH's segmentation and
            question-answering networks start from "zeros".
        epsilon: float, of all normalisations.

    Call arguments:
        x: `[B, N, C]`, the own tokens.
        y: `[B, M, C]`, the other modality's.
        training: bool, whose statistics the batch normalisations take.

    Returns:
        `[B, N, C]`, to be added to the residual stream.

    Raises:
        ValueError: the groups do not divide the channels or the bottleneck evenly.

    Example:

    ```python
    adapter = keras_vssl.layers.LatentAdapter(latents=2, reduction=8, groups=2)
    frames, sound = np.zeros((2, 196, 192), "float32"), np.zeros((2, 48, 192), "float32")
    adapter(frames, sound).shape  # (2, 196, 192)
    ```

    Reference:
        [Lin et al. CVPR 2023](https://arxiv.org/abs/2212.07983), Sec. 3; the order of gates and
        normalisations as in its code.
    """

    def __init__(
        self,
        latents=2,
        reduction=8,
        groups=2,
        batch_norm=True,
        gate=True,
        norm_before=True,
        norm_after=True,
        gate_first=False,
        latent_gate=False,
        latents_initializer=None,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.latent_count, self.reduction, self.groups = int(latents), int(reduction), int(groups)
        self.batch_norm, self.gated = bool(batch_norm), bool(gate)
        self.norm_before, self.norm_after = bool(norm_before), bool(norm_after)
        self.gate_first, self.latent_gated = bool(gate_first), bool(latent_gate)
        default = keras.initializers.RandomUniform(0.0, 1.0)
        self.latents_initializer = keras.initializers.get(latents_initializer or default)
        self.epsilon = float(epsilon)
        policy = self.dtype_policy

        def layer_norm(wanted, name):
            if wanted:
                return layers.LayerNormalization(epsilon=self.epsilon, name=name, dtype=policy)
            return None

        def channel_norm(name):
            if batch_norm:
                return BatchNormalization(epsilon=self.epsilon, name=name, dtype=policy)
            return None

        self.ln_before = layer_norm(norm_before, "ln_before")
        self.ln_post = layer_norm(norm_after, "ln_post")
        self.bn1, self.bn2 = channel_norm("bn1"), channel_norm("bn2")
        self.gate = self.gate_latents = None

    def build(self, x_shape, y_shape=None):
        width = x_shape[-1]
        hidden, groups = width // self.reduction, self.groups
        if not hidden or hidden % groups or width % groups:
            raise ValueError(
                f"Expected groups that divide {width} channels and a bottleneck of {hidden} evenly, "
                f"received {groups}."
            )
        self.latents = self.add_weight(
            name="latents",
            shape=(self.latent_count, width),
            initializer=self.latents_initializer,
        )
        self.gate_other = self.add_weight(name="gate_other", shape=(1,), initializer="zeros")
        if self.gated:
            self.gate = self.add_weight(name="gate", shape=(1,), initializer="zeros")
        if self.latent_gated:
            self.gate_latents = self.add_weight(name="gate_latents", shape=(1,), initializer="ones")
        # PyTorch's default for convolutions of one pixel: uniform in +-1/sqrt(fan in).
        for name, before, after in (("down", width, hidden), ("up", hidden, width)):
            bound = (before // groups) ** -0.5
            kernel = self.add_weight(
                name=name,
                shape=(groups, before // groups, after // groups),
                initializer=keras.initializers.RandomUniform(-bound, bound),
            )
            setattr(self, name, kernel)
        for layer, size in (
            (self.ln_before, width),
            (self.ln_post, width),
            (self.bn1, hidden),
            (self.bn2, width),
        ):
            if layer is not None:
                layer.build((None, None, size))
        self.built = True

    def call(self, x, y, training=None):
        latents = ops.cast(self.latents, y.dtype)
        latents = ops.broadcast_to(latents, (ops.shape(y)[0], *latents.shape))
        summary = _attend(latents, y)
        if self.gate_latents is not None:
            summary = summary * ops.cast(self.gate_latents, summary.dtype)
        latents = latents + summary
        x = x + ops.cast(self.gate_other, x.dtype) * _attend(x, latents)
        if self.ln_before is not None:
            x = self.ln_before(x)
        x = self._grouped(x, self.down)
        if self.bn1 is not None:
            x = self.bn1(x, training=training)
        x = self._grouped(ops.relu(x), self.up)
        if self.bn2 is not None:
            x = self.bn2(x, training=training)
        if self.gate is not None and self.gate_first:
            x = x * ops.cast(self.gate, x.dtype)
        if self.ln_post is not None:
            x = self.ln_post(x)
        if self.gate is not None and not self.gate_first:
            x = x * ops.cast(self.gate, x.dtype)
        return x

    def _grouped(self, x, kernel):
        # TensorFlow has no gradient of grouped convolutions on a CPU: a product of each group.
        groups, before, after = kernel.shape
        count = ops.shape(x)[1]
        x = ops.reshape(x, (-1, count, groups, before))
        x = ops.einsum("bngi,gio->bngo", x, ops.cast(kernel, x.dtype))
        return ops.reshape(x, (-1, count, groups * after))

    def compute_output_spec(self, x, y, training=None):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "latents": self.latent_count,
            "reduction": self.reduction,
            "groups": self.groups,
            "batch_norm": self.batch_norm,
            "gate": self.gated,
            "norm_before": self.norm_before,
            "norm_after": self.norm_after,
            "gate_first": self.gate_first,
            "latent_gate": self.latent_gated,
            "latents_initializer": keras.initializers.serialize(self.latents_initializer),
            "epsilon": self.epsilon,
        }


def _attend(queries, keys):
    """`softmax(q k') k`, the logits in float32: large features make the softmax near one-hot."""
    logits = ops.einsum("bqc,bkc->bqk", ops.cast(queries, "float32"), ops.cast(keys, "float32"))
    weights = ops.cast(ops.softmax(logits, axis=-1), keys.dtype)
    return ops.einsum("bqk,bkc->bqc", weights, keys)


@keras.saving.register_keras_serializable(package="keras_vssl")
class AdaptedBlock(layers.Layer):
    """A transformer block that two streams share, with adapters from each to the other.

        v = v + attend(v) + adapt(v, a)     a = a + attend(a) + adapt(a, v)
        v = v + feed(v) + adapt(v, a)       a = a + feed(a) + adapt(a, v)

    The adapters of the first line read both streams as they enter the block, those of the second
    as the first line left them. `attend` and `feed` are the block's own residual branches.

    Args:
        block: a layer with the residual branches `attend` and `feed`, or pre-norm `norm1`,
            `attention`, `norm2`, `fc1`, `fc2` (`TransformerBlock`); or its serialised form.
        adapter: dict of arguments of `LatentAdapter`, for the first stream.
        other_adapter: dict or `None` (the same), for the second.

    Call arguments:
        x, y: `[B, N, C]` and `[B, M, C]`.

    Returns:
        Both streams, of the same shapes.

    Reference:
        [Lin et al. CVPR 2023](https://arxiv.org/abs/2212.07983), Sec. 3.2, and its code.
    """

    def __init__(self, block, adapter=None, other_adapter=None, **kwargs):
        super().__init__(**kwargs)
        if isinstance(block, dict):
            block = keras.saving.deserialize_keras_object(block)
        self.block = block
        self.options = dict(adapter or {})
        self.other_options = self.options if other_adapter is None else dict(other_adapter)

        def make(options, name):
            return LatentAdapter(**options, name=name, dtype=self.dtype_policy)

        self.adapters = [make(self.options, f"adapter{part}") for part in (1, 2)]
        self.other_adapters = [make(self.other_options, f"other_adapter{part}") for part in (1, 2)]

    def build(self, x_shape, y_shape):
        self.block.build(x_shape)
        for adapter in (*self.adapters, *self.other_adapters):
            adapter.build(x_shape, y_shape)
        self.built = True

    def call(self, x, y, training=None):
        for branch, own, other in zip(
            (self._attend, self._feed), self.adapters, self.other_adapters
        ):
            x, y = (
                x + branch(x, training) + own(x, y, training=training),
                y + branch(y, training) + other(y, x, training=training),
            )
        return x, y

    def _attend(self, x, training):
        if hasattr(self.block, "attend"):
            return self.block.attend(x, training=training)
        return self.block.attention(self.block.norm1(x))

    def _feed(self, x, training):
        if hasattr(self.block, "feed"):
            return self.block.feed(x, training=training)
        return self.block.fc2(self.block.fc1(self.block.norm2(x)))

    def compute_output_spec(self, x, y, training=None):
        return tuple(keras.KerasTensor(v.shape, dtype=self.compute_dtype) for v in (x, y))

    def get_config(self):
        return {
            **super().get_config(),
            "block": keras.saving.serialize_keras_object(self.block),
            "adapter": dict(self.options),
            "other_adapter": dict(self.other_options),
        }
