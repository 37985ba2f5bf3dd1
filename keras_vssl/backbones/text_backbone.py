"""The contract of a text backbone, and BERT by it."""

import keras
import keras_hub
from keras import ops

from keras_vssl.backbones.base import Backbone


class TextBackbone(Backbone):
    """Base class of the networks that turn words into a feature.

    The input is token ids `[B, L]`, int32, 0 where there is no word. The output is one feature for
    the whole text, `[B, D]`.

    Args: as for `Backbone`.
    """

    def prepare(self, inputs):
        """Whole numbers as int32.

        Raises:
            ValueError: the input is no array of whole numbers `[B, L]`.
        """
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if "int" not in dtype or len(inputs.shape) != 2:
            raise ValueError(
                f"Expected token ids [B, L] of whole numbers, received {dtype} of shape "
                f"{tuple(inputs.shape)}; make them with keras_vssl.data.Words or a tokenizer."
            )
        return ops.cast(inputs, "int32")


@keras.saving.register_keras_serializable(package="keras_vssl")
class BertText(TextBackbone):
    """The class token of a keras_hub BERT, as MMT uses it.

    Ids of 0 are padding (BERT's own), and are masked.

    Args:
        bert: a `keras_hub.models.BertBackbone`, or its configuration.
        dtype: see `Backbone`; the BERT keeps its own.

    Example:

    ```python
    bert = keras_hub.models.BertBackbone.from_preset("bert_base_en_uncased")
    keras_vssl.backbones.BertText(bert)(np.array([[101, 7592, 102, 0]], "int32")).shape  # (1, 768)
    ```
    """

    def __init__(self, bert, dtype=None, **kwargs):
        if isinstance(bert, dict):
            bert = keras.saving.deserialize_keras_object(bert)
        if not isinstance(bert, keras_hub.models.BertBackbone):
            raise ValueError(
                f"Expected a keras_hub.models.BertBackbone, received a {type(bert).__name__}."
            )
        ids = keras.Input((None,), dtype="int32", name="ids")
        features = bert(
            {
                "token_ids": ids,
                "segment_ids": ops.zeros_like(ids),
                "padding_mask": ops.cast(ops.not_equal(ids, 0), "int32"),
            }
        )
        token = features["sequence_output"][:, 0]
        endpoints = {"words": features["sequence_output"], "pooled": token}
        super().__init__(ids, endpoints, token.shape[-1], dtype=dtype, **kwargs)
        self.bert = bert

    def get_config(self):
        return {**super().get_config(), "bert": keras.saving.serialize_keras_object(self.bert)}
