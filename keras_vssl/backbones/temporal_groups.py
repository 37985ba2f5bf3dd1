"""What networks with temporal group normalisation share: clips of one length, groups by layer."""

from keras_vssl.backbones.backbone import DEFAULT_CLIP, VideoBackbone
from keras_vssl.layers.normalization import BatchNormalization
from keras_vssl.layers.temporal_group_normalization import TemporalGroupNormalization


class GroupedInTime(VideoBackbone):
    """A `VideoBackbone` whose batch normalisations may be by groups of time steps.

    Its `temporal_groups` is `None`, an int, the most groups that a layer has, or a dict of a
    normalisation layer's name to its groups; layers that a dict leaves out normalise all steps
    alike. Where it is set, the network is bound to clips of `clip_shape[0]` frames.
    """

    temporal_groups = None

    def bind(self, temporal_groups):
        """Notes the groups of the network that has been built.

        Raises:
            ValueError: a name in `temporal_groups` is no such layer's, or the network has none
                that can be grouped; or `clip` has other frames than the network was built for.
        """
        if temporal_groups is None:
            return
        grouped = _named(self, TemporalGroupNormalization)
        if isinstance(temporal_groups, dict):
            temporal_groups = {name: int(count) for name, count in temporal_groups.items()}
            if unknown := sorted(set(temporal_groups) - set(grouped)):
                names = _named(self, BatchNormalization, TemporalGroupNormalization)
                raise ValueError(
                    f"Expected `temporal_groups` to name normalisation layers, received "
                    f"{', '.join(unknown)}; this {type(self).__name__} has {', '.join(names)}."
                )
        elif not grouped:
            raise ValueError(
                f"Expected `temporal_groups` with C3D, R3D, MC3 or R2Plus1D, received it with "
                f"{type(self).__name__}; leave it out."
            )
        else:
            temporal_groups = int(temporal_groups)
        frames = self.input.shape[1]
        if self.clip["frames"] != frames:
            raise ValueError(self._bound(self.clip["frames"], frames))
        self.temporal_groups = temporal_groups
        self.input_spec = None  # `checked` says more than Keras' own check

    def checked(self, inputs):
        shape = getattr(inputs, "shape", ())
        if self.temporal_groups is not None and len(shape) == 5:
            frames = self.input.shape[1]
            if shape[1] not in (None, frames):
                raise ValueError(self._bound(shape[1], frames))
        return super().checked(inputs)

    def _bound(self, received, frames):
        return (
            f"Expected clips of {frames} frames, for which this {type(self).__name__} has "
            f"statistics by groups of time steps (`temporal_groups`), received {received}; read "
            f"{frames} frames, or build a network for {received} and train it."
        )

    def get_config(self):
        config, groups = super().get_config(), self.temporal_groups
        if groups is not None:  # networks without groups keep the configuration they have had
            config["temporal_groups"] = dict(groups) if isinstance(groups, dict) else groups
        return config


def bound_clip(temporal_groups, clip_shape, clip=None):
    """`clip_shape` and `clip` where groups need one length and either may say which.

    Returns:
        (clip_shape, clip): the frames of the shape, or else of the clip, in both.
    """
    clip_shape = tuple(clip_shape)
    if temporal_groups is None:
        return clip_shape, clip
    frames = clip_shape[0] or {**DEFAULT_CLIP, **(clip or {})}["frames"]
    return (frames, *clip_shape[1:]), {"frames": frames, **(clip or {})}


def normalization(temporal_groups, **options):
    """A function of a layer's `name` that makes the normalisation the network has there.

    Args:
        temporal_groups: see `GroupedInTime`.
        **options: of the layers, `epsilon` and `dtype`. The function takes more of them.
    """

    def make(name, **more):
        groups = temporal_groups
        if isinstance(groups, dict):
            groups = groups.get(name)
        if groups is None:
            return BatchNormalization(name=name, **options, **more)
        return TemporalGroupNormalization(groups, name=name, **options, **more)

    return make


def _named(network, *kinds):
    return [layer.name for layer in network.layers if isinstance(layer, kinds)]
