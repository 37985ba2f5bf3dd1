"""What backbones of every modality share: prepared input, endpoints, presets."""

import os

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.blank import blank_weights
from keras_vssl.files import atomic_folder


class Backbone(keras_hub.models.Backbone):
    """A network with one input, named endpoints and presets.

    Where weights belong to one size of the input (position tables), a subclass names the
    arguments of that size in `size_arguments` and the tables in `position_tables`; `from_preset`
    then loads a preset for another size.

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

    size_arguments = ()

    def __init__(self, inputs, endpoints, feature_dim, dtype=None, **kwargs):
        super().__init__(inputs=inputs, outputs=list(endpoints.values())[-1], dtype=dtype, **kwargs)
        if self.size_arguments:
            self.input_spec = None  # `checked` says more than Keras' own check
        self.endpoints = dict(endpoints)
        self.feature_dim = int(feature_dim)

    def prepare(self, inputs):
        """Raw data as the graph takes it."""
        return inputs

    def checked(self, inputs):
        """Raw data as the graph takes it, of the one shape that it takes.

        Raises:
            ValueError: it has another shape.
        """
        inputs = self.prepare(inputs)
        expected, got = getattr(self.input, "shape", None), getattr(inputs, "shape", None)
        if expected is None or got is None:
            return inputs
        pairs = zip(tuple(expected)[1:], tuple(got)[1:])
        other_rank = len(expected) != len(got)
        if other_rank and not self.size_arguments:
            return inputs  # Keras may know what to do
        if other_rank or any(None not in pair and len(set(pair)) > 1 for pair in pairs):
            hint = ""
            if self.size_arguments:
                names = " or ".join(f"{name}=" for name in self.size_arguments)
                hint = f"; pass {names} to from_preset or when you build it for another size"
            raise ValueError(
                f"Expected inputs of shape {tuple(expected)}, received {tuple(got)}: this "
                f"{type(self).__name__} was built for that size{hint}."
            )
        return inputs

    def call(self, inputs, training=None, mask=None):
        return super().call(self.checked(inputs), training=training, mask=mask)

    def compute_output_spec(self, inputs, training=None, mask=None):
        return super().compute_output_spec(self.checked(inputs), training=training, mask=mask)

    def position_tables(self):
        """The weights whose rows are places of a grid: dict of weight path to `TableGrid`."""
        return {}

    @classmethod
    def resized_config(cls, config, **sizes):
        """A configuration with other arguments of size; what follows from them goes along."""
        return {**config, **sizes}

    def fit_weights(self, other):
        """Takes the weights of a network that differs in the size of its input alone.

        Position tables are interpolated, see `position_tables`, fixed ones stay as they were
        computed; all else is copied.

        Raises:
            ValueError: a weight that is no position table has another shape.
        """
        mine, theirs = self.position_tables(), other.position_tables()
        if len(self.weights) != len(other.weights):
            raise ValueError(
                f"Expected the {len(self.weights)} weights of this {type(self).__name__}, "
                f"received {len(other.weights)}."
            )
        for variable, source in zip(self.weights, other.weights):
            value = ops.convert_to_numpy(source)
            table, saved = mine.get(variable.path), theirs.get(source.path)
            if table and table.methods == "fixed":
                continue
            if table and saved and table.grid != saved.grid:
                value = saved.resize(np.asarray(value, "float32"), table.grid)
            if tuple(value.shape) != tuple(variable.shape):
                raise ValueError(
                    f"Expected {variable.path} of shape {tuple(variable.shape)}, received "
                    f"{tuple(value.shape)}; only tables of positions can be fitted to another "
                    "size."
                )
            variable.assign(value)

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
            **kwargs: override entries of the preset's configuration, e.g. `dtype`. Arguments of
                size (`clip_shape` of the video transformers) may differ from the preset's:
                learned tables of positions are interpolated to the new grid, fixed ones computed.

        Raises:
            ValueError: no such preset, the preset is of another class, or its weights do not fit
                the new size.
        """
        from keras_vssl import backbones

        backbones.register()  # a network may hold another by its configuration
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

        folder = resolve(preset)
        sizes = _sizes(folder, kwargs)
        kept = {name: value for name, value in kwargs.items() if name not in sizes}
        with blank_weights(load_weights):
            loaded = super().from_preset(folder, load_weights=load_weights, **kept)
            if not sizes:
                return loaded
            config = loaded.resized_config(loaded.get_config(), **sizes)
            resized = type(loaded).from_config({**config, **kept})
        if load_weights:
            resized.fit_weights(loaded)
        return resized

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
        super().__init__(inputs=backbone.input, outputs=output)
        self.input_spec = backbone.input_spec
        self.prepare = backbone.checked

    def call(self, inputs, training=None, mask=None):
        return super().call(self.prepare(inputs), training=training, mask=mask)

    def compute_output_spec(self, inputs, training=None, mask=None):
        return super().compute_output_spec(self.prepare(inputs), training=training, mask=mask)


def _sizes(folder, arguments):
    """Those arguments that say for which size of input a preset's network is built."""
    from keras_vssl.hub.folder import CONFIG, read_json

    config = read_json(os.path.join(folder, CONFIG))
    found = keras.saving.get_registered_object(str(config.get("registered_name")))
    names = getattr(found, "size_arguments", ())
    return {name: value for name, value in arguments.items() if name in names}
