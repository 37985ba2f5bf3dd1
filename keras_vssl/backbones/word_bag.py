"""A bag of word vectors, and the largest of each feature: the text network of MIL-NCE and MMV."""

import keras
from keras import layers, ops

from keras_vssl.backbones.text_backbone import TextBackbone


@keras.saving.register_keras_serializable(package="keras_vssl")
class WordBag(TextBackbone):
    """Word vectors, a linear layer with ReLU, the maximum over the words, a linear layer.

    The order of the words does not matter, nor how often one is there. The table of word vectors is
    not trained. The published networks take the maximum over the padding too, whose vector is row
    0 of the table; weights that were trained so need it.

    | form | rows | vectors | hidden | output |
    |---|---|---|---|---|
    | MIL-NCE (and its S3D release) | 66,250 | 300 | 2048 | 512 |
    | MMV | 65,536 | 300 | 2048 | none: its heads follow |

    Endpoints: `vectors`, `hidden` (both `[B, L, .]`), `bag` (`[B, hidden]`), `embedding` (with
    `output`). The output is the last, `[B, D]`.

    Args:
        rows: int, words and the padding, which is row 0.
        vectors: int, channels of a word vector.
        hidden: int, channels of the hidden layer.
        output: int, channels of the output, or `None`: `hidden`, without the last layer.
        mask_padding: bool, leave padding out of the maximum; the bag of a text without a word is 0.
        dtype: see `Backbone`.

    Example:

    ```python
    words = keras_vssl.data.Words(["cut", "the", "tomato"], length=16)
    backbone = keras_vssl.backbones.WordBag(rows=len(words), vectors=300, output=512)
    backbone(words.ids(["Cut the tomato!"])).shape  # (1, 512)
    ```

    Reference:
        - [Miech et al. CVPR 2020](https://arxiv.org/abs/1912.06430) (MIL-NCE), Sec. 3.3
        - [Alayrac et al. NeurIPS 2020](https://arxiv.org/abs/2006.16228) (MMV)
    """

    def __init__(
        self,
        rows=66_250,
        vectors=300,
        hidden=2048,
        output=512,
        mask_padding=False,
        dtype=None,
        **kwargs,
    ):
        ids = keras.Input((None,), dtype="int32", name="ids")
        table = layers.Embedding(rows, vectors, name="vectors", trainable=False, dtype=dtype)
        endpoints = {"vectors": table(ids)}
        dense = layers.Dense(hidden, activation="relu", name="hidden", dtype=dtype)
        endpoints["hidden"] = x = dense(endpoints["vectors"])
        if mask_padding:
            x = x * ops.cast(ops.not_equal(ids, 0), x.dtype)[..., None]  # ReLU: 0 is the least
        endpoints["bag"] = x = ops.max(x, axis=1)
        if output is not None:
            endpoints["embedding"] = x = layers.Dense(output, name="embedding", dtype=dtype)(x)
        super().__init__(ids, endpoints, x.shape[-1], dtype=dtype, **kwargs)
        self.rows, self.vectors, self.hidden = int(rows), int(vectors), int(hidden)
        self.output_width = output if output is None else int(output)
        self.mask_padding = bool(mask_padding)

    def get_config(self):
        return {
            **super().get_config(),
            "rows": self.rows,
            "vectors": self.vectors,
            "hidden": self.hidden,
            "output": self.output_width,
            "mask_padding": self.mask_padding,
        }
