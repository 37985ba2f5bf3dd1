"""The contract of a backbone on clips and their sound."""

from keras_vssl.backbones.base import Backbone

INPUTS = ("clips", "audio")


class AudioVisualBackbone(Backbone):
    """Base class of the networks that see a clip and hear its sound at once.

    The input is a dict of `"clips"`, as a `VideoBackbone` takes them, and `"audio"`, as an
    `AudioBackbone` does; other entries are left out. The output is a feature `[B, C]`, or
    `[B, T, C]` of each second. Inner maps are endpoints.

    A subclass builds its graph on a dict of two `keras.Input`s, calls `__init__` with the
    endpoints in their order, and overrides `prepare_clips` and `prepare_audio` where raw data has
    to be prepared.

    Args:
        inputs: dict of the symbolic `"clips"` and `"audio"`.
        endpoints: dict of name to symbolic tensor, the output last.
        feature_dim: int, channels of the output.
        dtype: dtype or dtype policy, e.g. `"mixed_bfloat16"`.
    """

    def __init__(self, inputs, endpoints, feature_dim, dtype=None, **kwargs):
        super().__init__(inputs, endpoints, feature_dim, dtype=dtype, **kwargs)
        # Raw data may differ in rank from the graph's inputs; `prepare` checks it.
        self.input_spec = None

    def prepare(self, inputs):
        """Both inputs as the graph takes them.

        Raises:
            ValueError: one of them is missing.
        """
        if not isinstance(inputs, dict) or not set(INPUTS) <= set(inputs):
            found = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
            raise ValueError(
                f'{type(self).__name__} takes a dict of "clips" and "audio", but received {found}.'
            )
        return {
            "clips": self.prepare_clips(inputs["clips"]),
            "audio": self.prepare_audio(inputs["audio"]),
        }

    def prepare_clips(self, clips):
        return clips

    def prepare_audio(self, audio):
        return audio
