"""V-JEPA's predictor: features of masked places from the features of the others."""

import keras
from keras import layers, ops

from keras_vssl.layers.positions import sine_cosine_3d
from keras_vssl.layers.rotary import RotaryBlock
from keras_vssl.layers.transformer import TransformerBlock

POSITIONS = ("rotary", "sine_cosine_3d")


@keras.saving.register_keras_serializable(package="keras_vssl")
class JepaPredictor(layers.Layer):
    """A narrow transformer that regresses an encoder's features at places it has not seen.

    The features of the context are projected, a learned token stands at each target place, all
    get positions and pass the blocks together; the targets' tokens are projected back. Their
    order does not matter: places travel with the tokens.

    Args:
        grid: (time, height, width) in tokens.
        outputs: int, width of the encoder's features.
        width, depth, heads: ints, of the predictor.
        mlp_width: int or `None`: 4 times the width.
        mask_tokens: int, learned tokens to choose from. V-JEPA 1 has one for each kind of mask;
            V-JEPA 2's files hold 10, and its hub loader takes number 1.
        positions: "rotary" (V-JEPA 2) or "sine_cosine_3d" (V-JEPA 1).
        split: of the sine-cosine table, see `keras_vssl.layers.positions.sine_cosine_3d`.
        epsilon: float, of layer normalisation.

    Call arguments:
        features: `[B, K, outputs]`, of the context.
        context: int `[B, K]`, the places of its tokens in the grid.
        target: int `[B, M]`, the places to predict.
        mask_token: int, which of the mask tokens.
        training: bool.

    Returns:
        `[B, M, outputs]`, not normalised.

    Example:

    ```python
    predictor = keras_vssl.layers.JepaPredictor((8, 16, 16), outputs=1024)
    predictor(np.zeros((1, 2, 1024)), np.array([[0, 5]]), np.array([[1, 2, 3]])).shape
    ```

    Reference:
        Bardes et al. TMLR 2024 (https://arxiv.org/abs/2404.08471), Sec. 3.2.
    """

    def __init__(
        self,
        grid,
        outputs,
        width=384,
        depth=12,
        heads=12,
        mlp_width=None,
        mask_tokens=2,
        positions="rotary",
        split="equal",
        epsilon=1e-6,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if positions not in POSITIONS:
            raise ValueError(
                f"Expected positions to be one of {POSITIONS}, received {positions!r}."
            )
        self.grid, self.outputs = tuple(int(n) for n in grid), int(outputs)
        self.width, self.depth, self.heads = int(width), int(depth), int(heads)
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        self.mask_tokens, self.positions, self.split = int(mask_tokens), positions, split
        self.epsilon = float(epsilon)
        policy = self.dtype_policy
        initializer = {"class_name": "TruncatedNormal", "config": {"stddev": 0.02}}
        options = {"mlp_width": self.mlp_width, "epsilon": self.epsilon, "dtype": policy}
        options |= {"kernel_initializer": initializer}
        make = TransformerBlock
        if positions == "rotary":
            make, options["grid"] = RotaryBlock, self.grid
        else:
            self.table = sine_cosine_3d(self.grid, self.width, split)
        self.embed = layers.Dense(
            self.width, kernel_initializer=initializer, name="embed", dtype=policy
        )
        self.blocks = [
            make(self.width, self.heads, name=f"block{index + 1}", **options)
            for index in range(self.depth)
        ]
        self.norm = layers.LayerNormalization(epsilon=self.epsilon, name="norm", dtype=policy)
        self.project = layers.Dense(
            self.outputs, kernel_initializer=initializer, name="project", dtype=policy
        )

    def build(self, *shapes):
        self.tokens = self.add_weight(
            name="mask_tokens", shape=(self.mask_tokens, self.width), initializer="zeros"
        )
        self.embed.build((None, None, self.outputs))
        for layer in (*self.blocks, self.norm, self.project):
            layer.build((None, None, self.width))
        self.built = True

    def call(self, features, context, target, mask_token=0, training=None):
        if not 0 <= mask_token < self.mask_tokens:
            raise ValueError(
                f"Expected a mask_token from 0 to {self.mask_tokens - 1}, received {mask_token}."
            )
        x = self.embed(features)
        hidden = ops.cast(ops.convert_to_tensor(self.tokens)[mask_token], x.dtype)
        shape = (ops.shape(target)[0], ops.shape(target)[1], self.width)
        x = ops.concatenate([x, ops.broadcast_to(hidden, shape)], axis=1)
        places = [ops.cast(index, "int32") for index in (context, target)]
        index = ops.concatenate(places, axis=1)
        options = {"training": training}
        if self.positions == "rotary":
            options["index"] = index
        else:
            x = x + ops.cast(ops.take(ops.convert_to_tensor(self.table), index, axis=0), x.dtype)
        for block in self.blocks:
            x = block(x, **options)
        return self.project(self.norm(x[:, ops.shape(features)[1] :]))

    def compute_output_shape(self, features_shape, context_shape, target_shape):
        return (*target_shape, self.outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "grid": list(self.grid),
            "outputs": self.outputs,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "mask_tokens": self.mask_tokens,
            "positions": self.positions,
            "split": self.split,
            "epsilon": self.epsilon,
        }


def feature_targets(features, index=None):
    """What V-JEPA predicts: features normalised over their channels, at some places.

    Args:
        features: `[B, N, D]`, of the target encoder on the whole clip.
        index: int `[B, M]` or `None` for all places.

    Returns:
        float32 `[B, M, D]`, each of mean 0 and variance 1 (epsilon 1e-5, no gain or offset).
    """
    from keras_vssl.layers.masking import gather_tokens

    features = ops.cast(features, "float32")
    mean = ops.mean(features, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(features - mean), axis=-1, keepdims=True)
    features = (features - mean) / ops.sqrt(variance + 1e-5)
    return features if index is None else gather_tokens(features, index)
