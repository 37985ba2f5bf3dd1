"""MMV's embedding heads: from the towers' features to the spaces they are compared in."""

import keras
from keras import layers

from keras_vssl.convert.haiku import map_haiku_norm
from keras_vssl.convert.mapping import Mapping, shape_of
from keras_vssl.layers.normalization import BatchNormalization

HEADS = "~_get_pair_embedding_heads/"
# A modality's head into another's space. Video and audio meet in one space; a head from there
# leads on to the coarser space of text, for audio too: `audio2txt_embd`, which serves training
# alone, is left out.
_VIDEO, _AUDIO, _TO_TEXT = "vid2audio_embd", "audio_embd", "vis_embd"
_TEXT, _TEXT_TO_AUDIO = "txt_embd", "txt2audio_embd"


def heads_prefix(state):
    """What stands before the heads' names, or `None` where no such tensor is."""
    end = f"{HEADS}{_TO_TEXT}/final_projection/w"
    return next((name.removesuffix(end) + HEADS for name in state if name.endswith(end)), None)


def build_heads(state, prefix, epsilon, dtype=None):
    """The heads as a `keras.Model` of features `[B, D]`, and their mapping.

    Args:
        state: dict of name to array.
        prefix: str, see `heads_prefix`.
        epsilon: float, of batch normalisation.
        dtype: dtype or dtype policy.
    """
    mapping = Mapping()

    def dense(x, name, module):
        width = shape_of(state, f"{module}/w", 2)[1]
        use_bias = f"{module}/b" in state
        layer = layers.Dense(width, use_bias=use_bias, name=name, dtype=dtype)
        y = layer(x)
        mapping.add(f"{module}/w", layer.kernel)
        if use_bias:
            mapping.add(f"{module}/b", layer.bias)
        return y

    def norm(x, name, module):
        if f"{module}/scale" not in state:
            return x
        layer = BatchNormalization(epsilon=epsilon, name=name, dtype=dtype)
        y = layer(x)
        map_haiku_norm(mapping, module, layer)
        return y

    def head(x, name):
        module, number = f"{prefix}{name}", ""
        if f"{module}/final_projection_inner/w" in state:
            x = dense(x, f"{name}_inner", f"{module}/final_projection_inner")
            x = norm(x, f"{name}_inner_bn", f"{module}/__cross_replica_batch_norm")
            x = layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)
            number = "_1"
        x = dense(x, name, f"{module}/final_projection")
        return norm(x, f"{name}_bn", f"{module}/__cross_replica_batch_norm{number}")

    def features(modality, name):
        first = f"{prefix}{name}/final_projection"
        first = f"{first}_inner/w" if f"{first}_inner/w" in state else f"{first}/w"
        return keras.Input((shape_of(state, first, 2)[0],), name=modality)

    inputs = {
        "video": features("video", _VIDEO),
        "audio": features("audio", _AUDIO),
        "text": features("text", _TEXT),
    }
    video, audio = head(inputs["video"], _VIDEO), head(inputs["audio"], _AUDIO)
    shared = keras.Input(video.shape[1:])
    to_text = keras.Model(
        shared, head(layers.ReLU(dtype=dtype)(shared), _TO_TEXT), name="va_to_text"
    )
    outputs = {
        "video_in_va": video,
        "audio_in_va": audio,
        "text_in_va": head(inputs["text"], _TEXT_TO_AUDIO),
        "video_in_vat": to_text(video),
        "audio_in_vat": to_text(audio),
        "text_in_vat": head(inputs["text"], _TEXT),
    }
    return keras.Model(inputs, outputs, name="mmv_heads"), mapping
