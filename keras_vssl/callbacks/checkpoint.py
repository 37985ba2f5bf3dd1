"""A checkpoint of the whole training state, from which a killed run goes on unchanged."""

import io
import json
import os
import zipfile

import keras
import numpy as np

from keras_vssl.files import write_atomic


class Checkpoint(keras.callbacks.Callback):
    """Saves weights, optimizer, random seeds, metrics, epoch and step; restores them.

    One file, written under a temporary name, synced and renamed: killed at any moment, the
    folder holds the last complete state. On a CPU the resumed run ends with the weights of one
    that was never stopped, bit for bit.

    Args:
        path: str, the file to write (`.npz`).
        run: dict, what the batches depend on; a checkpoint of another run is refused.
        every: int or None, steps between checkpoints inside an epoch.

    Attributes:
        begin: int, steps of the first epoch that were done before this `fit`.
    """

    def __init__(self, path, run, every=None):
        super().__init__()
        if every is not None and every < 1:
            raise ValueError(f"Expected save_every of at least 1 step, received {every}.")
        self.path, self.run, self.every = path, dict(run), every
        self.begin, self._epoch, self._loaded = 0, 0, None

    def load(self):
        """Reads the file; the state is put in place when training begins.

        Returns:
            (epoch, step) to go on at; (0, 0) where there is no checkpoint yet.

        Raises:
            ValueError: the checkpoint is damaged or of a run with other settings.
        """
        if not os.path.isfile(self.path):
            return 0, 0
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            meta = json.loads(str(arrays.pop("meta")))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"Expected a checkpoint in {self.path}, but it can't be read ({error}); remove it "
                "to start over."
            ) from error
        other = {k: v for k, v in self.run.items() if meta["run"].get(k) != v}
        if other:
            changes = ", ".join(f"{k} was {meta['run'].get(k)}, is {v}" for k, v in other.items())
            raise ValueError(
                f"Expected to resume the run of {self.path}, but its settings differ ({changes}); "
                "use the same settings or another out folder."
            )
        self._loaded = arrays
        return meta["epoch"], meta["step"]

    def build(self, model, x, y=None):
        """Creates the variables that the first step would, so that they can be restored.

        Args:
            model: the compiled task.
            x, y: a batch of one; no `y` for a task without targets.
        """
        if self._loaded is None:
            return
        y_pred = model(x, training=False)
        model.compute_loss(x, y, y_pred, training=False)
        model.compute_metrics(x, y, y_pred)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)

    def restore(self, model):
        """Gives a model the loaded state, where no training follows that would."""
        self.set_model(model)
        if self._loaded is not None:
            self._restore()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if self._loaded is not None:
            self._restore()
            if not self.begin:  # what was saved are the means of the epoch before
                self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        done = self.begin + batch + 1
        if self.every and done % self.every == 0:
            self.save(self._epoch, done)

    def on_epoch_end(self, epoch, logs=None):
        self.begin = 0
        self.save(epoch + 1, 0)

    def save(self, epoch, step):
        """Writes the state, to go on at `epoch` and `step`."""
        if step >= self.run["steps"]:
            epoch, step = epoch + 1, 0
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        meta = {"epoch": epoch, "step": step, "run": self.run, "keras": keras.__version__}
        arrays = {n: keras.ops.convert_to_numpy(v.value) for n, v in self._variables().items()}
        buffer = io.BytesIO()
        np.savez(buffer, meta=json.dumps(meta), **arrays)
        write_atomic(self.path, buffer.getvalue())

    def _restore(self):
        arrays, self._loaded = self._loaded, None
        variables = self._variables()
        if set(variables) != set(arrays):
            odd = sorted(set(variables) ^ set(arrays))
            raise ValueError(
                f"Expected the checkpoint {self.path} of this very model, but {len(odd)} variables "
                f"differ, the first {odd[0]}; use the same model, optimizer and metrics."
            )
        for name, variable in variables.items():
            if tuple(variable.shape) != arrays[name].shape:
                raise ValueError(
                    f"Expected shape {tuple(variable.shape)} for {name} in {self.path}, received "
                    f"{arrays[name].shape}; use the same model."
                )
            variable.assign(arrays[name])

    def _variables(self):
        """All state by a name that does not depend on what else the process has built."""
        optimizer = self.model.optimizer
        known, named = set(), {}
        groups = (
            ("model", self.model.variables),
            ("metric", self.model.metrics_variables),
            ("optimizer", optimizer.variables if optimizer is not None else ()),
        )
        for kind, variables in groups:
            for variable in variables:
                if id(variable) not in known:
                    known.add(id(variable))
                    named[f"{kind}/{len(named):05d}"] = variable
        return named
