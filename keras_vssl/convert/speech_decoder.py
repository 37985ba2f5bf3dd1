"""The decoders of text that fine-tuning puts behind AV-HuBERT's and RAVEn's encoders."""

import re

from keras_vssl.convert.mapping import Mapping, count_numbered, shape_of
from keras_vssl.layers.speech_decoder import SpeechDecoder

# A decoder's parts as the two frameworks call them.
FAIRSEQ = {
    "embed": "embed_tokens",
    "layers": "layers",
    "own": "self_attn",
    "source": "encoder_attn",
    "dense": "{}_proj",
    "norms": ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
    "fc1": "fc1",
    "fc2": "fc2",
    "norm": "layer_norm",
    "score": None,
}
ESPNET = {
    "embed": "embed.0",
    "layers": "decoders",
    "own": "self_attn",
    "source": "src_attn",
    "dense": "linear_{}",
    "norms": ("norm1", "norm2", "norm3"),
    "fc1": "feed_forward.w_1",
    "fc2": "feed_forward.w_2",
    "norm": "after_norm",
    "score": "output_layer",
}


def build_decoder(state, prefix, names, heads):
    """Builds a `SpeechDecoder`.

    Args:
        state: dict of name to array. prefix: str, what stands before the names.
        names: `FAIRSEQ` or `ESPNET`.
        heads: int, which no tensor tells: 4 at AV-HuBERT's Base, 8 at its Large.

    Returns:
        The decoder and its mapping.
    """
    vocabulary, width = shape_of(state, f"{prefix}{names['embed']}.weight", 2)
    first = f"{prefix}{names['layers']}.0."
    mlp_width = shape_of(state, f"{first}{names['fc1']}.weight", 2)[0]
    features = shape_of(state, f"{first}{names['source']}.{names['dense'].format('k')}.weight", 2)
    depth = count_numbered(state, re.escape(f"{prefix}{names['layers']}.") + r"(\d+)\.")
    tied = names["score"] is None
    model = SpeechDecoder(vocabulary, width, heads, mlp_width, depth, tied)
    model.build((None, None), (None, None, features[1]))
    mapping = Mapping()

    def norm(name, layer):
        mapping.add(f"{name}.weight", layer.gamma)
        mapping.add(f"{name}.bias", layer.beta)

    mapping.add(f"{prefix}{names['embed']}.weight", model.embed.embeddings)
    for index, block in enumerate(model.blocks):
        name = f"{prefix}{names['layers']}.{index}"
        for part, attention in (("own", block.attention), ("source", block.source_attention)):
            for theirs, layer in (
                ("q", attention.query),
                ("k", attention.key),
                ("v", attention.value),
                ("out", attention.proj),
            ):
                mapping.dense(f"{name}.{names[part]}.{names['dense'].format(theirs)}", layer)
        for spelling, layer in zip(names["norms"], (block.norm1, block.norm2, block.norm3)):
            norm(f"{name}.{spelling}", layer)
        mapping.dense(f"{name}.{names['fc1']}", block.fc1)
        mapping.dense(f"{name}.{names['fc2']}", block.fc2)
    norm(f"{prefix}{names['norm']}", model.norm)
    if not tied:
        mapping.dense(f"{prefix}{names['score']}", model.score)
    return model, mapping
