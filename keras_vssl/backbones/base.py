"""What backbones of every modality share: prepared input, endpoints, presets."""

import keras
import keras_hub

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.files import atomic_folder


class Backbone(keras_hub.models.Backbone):
    """A network with one input, named endpoints and presets.

    A subclass builds its graph, calls `__init__` with the endpoints in their order (the last one
    is the output), adds its own arguments to `get_config`, and overrides `prepare` with what has
    to happen to raw data before the graph.

    Args:
        inputs: the symbolic input.
        endpoints: dict of name to symbolic tensor, in the order of the network.
        feature_dim: int, channels of the output.
        dtype: dtype or dtype policy, e.g. `"mixed_bfloat16"`.

    Attributes:
        feature_dim: int, channels of the output.
        endpoints: dict of name to symbolic tensor.
    """

    def __init__(self, inputs, endpoints, feature_dim, dtype=None, **kwargs):
        super().__init__(inputs=inputs, outputs=list(endpoints.values())[-1], dtype=dtype, **kwargs)
        self.endpoints = dict(endpoints)
        self.feature_dim = int(feature_dim)

    def prepare(self, inputs):
        """Raw data as the graph takes it."""
        return inputs

    def call(self, inputs, training=None, mask=None):
        return super().call(self.prepare(inputs), training=training, mask=mask)

    def compute_output_spec(self, inputs, training=None, mask=None):
        return super().compute_output_spec(self.prepare(inputs), training=training, mask=mask)

    def endpoint(self, name):
        """A model from the same input to an inner tensor, sharing this one's weights.

        Args:
            name: str, a key of `endpoints`.

        Raises:
            ValueError: there is no such endpoint.
        """
        if name not in self.endpoints:
            raise ValueError(
                f"{type(self).__name__} has no endpoint {name!r}; choose one of "
                f"{', '.join(self.endpoints)}."
            )
        return _Endpoint(self, self.endpoints[name])

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Loads a backbone.

        Args:
            preset: str. The name of an architecture (`keras_vssl.list_presets()`; its weights
                are random), of a built-in trained preset, a folder that `save_to_preset` wrote,
                or `"hf://user/name[@revision]"`.
            load_weights: bool, `False` leaves the weights random.
            **kwargs: override entries of the preset's configuration, e.g. `dtype`.

        Raises:
            ValueError: no such preset, or the preset is of another class.
        """
        from keras_vssl import backbones

        if preset in ARCHITECTURES:
            entry = ARCHITECTURES[preset]
            found = getattr(backbones, entry["class_name"])
            if not issubclass(found, cls):
                raise ValueError(
                    f"Preset {preset!r} is a {found.__name__}, not a {cls.__name__}; "
                    f"call {found.__name__}.from_preset({preset!r})."
                )
            return found.from_config({**entry["config"], **kwargs})
        from keras_vssl.hub import resolve

        backbones.register()
        return super().from_preset(resolve(preset), load_weights=load_weights, **kwargs)

    def save_to_preset(self, preset_dir, max_shard_size=10):
        """Writes the folder that `from_preset` reads; complete or not at all.

        Args:
            preset_dir: path of the folder to write; an existing one is replaced.
            max_shard_size: float, gigabytes a weights file may have.
        """
        with atomic_folder(preset_dir) as folder:
            super().save_to_preset(folder, max_shard_size=max_shard_size)


class _Endpoint(keras.Model):
    """The part of a backbone up to one tensor, with the backbone's preparation of raw data."""

    def __init__(self, backbone, output):
        super().__init__(inputs=backbone.inputs[0], outputs=output)
        self.input_spec = backbone.input_spec
        self.prepare = backbone.prepare

    def call(self, inputs, training=None, mask=None):
        return super().call(self.prepare(inputs), training=training, mask=mask)

    def compute_output_spec(self, inputs, training=None, mask=None):
        return super().compute_output_spec(self.prepare(inputs), training=training, mask=mask)
