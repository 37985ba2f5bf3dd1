"""`fit` on real files: skips what is broken, resumes what was killed, refuses what can't work."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import keras_vssl as kv
from tests.clips import write_clip, write_folder

ROOT = pathlib.Path(__file__).parents[2]


def tiny(**kwargs):
    clip = {"frames": 4, "stride": 1, "resize": [20, 24], "size": 16}
    backbone = kv.backbones.R3D(width=4, blocks=(1, 1, 1, 1), clip=clip)
    shape = {"frames": 4, "gap": 1, "hidden": 16, "resize": (20, 24), "size": 16, **kwargs}
    return kv.tasks.VCOP(backbone, **shape)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("clips"), each=5, frames=16)


def test_a_broken_video_costs_itself_only(folder, tmp_path, capsys):
    videos = kv.data.Videos.from_folder(write_folder(tmp_path / "clips", each=4, frames=16))
    videos.probe()
    # Damaged after probing: only reading finds out.
    path = videos.paths[3]
    data = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(data[: len(data) // 3])
    task = tiny()
    history = task.fit(videos, epochs=2, batch_size=4, verbose=0)
    assert len(history.history["loss"]) == 2
    assert [entry["path"] for entry in task.skipped] == [videos.relative_path(3)]
    assert task.skipped[0]["reason"]
    assert capsys.readouterr().err.count("Left out") == 1


def test_too_few_usable_videos_is_one_sentence(tmp_path):
    write_clip(tmp_path / "a.mp4", frames=16)
    write_clip(tmp_path / "b.mp4", frames=5)
    with pytest.raises(ValueError, match="at least two usable videos, but 1 of 2") as error:
        tiny().fit(kv.data.Videos.from_folder(tmp_path), verbose=0)
    assert "it has 5 frames and one sample needs 14" in str(error.value)


def test_fit_takes_tf_data_pydataset_and_arrays(folder):
    task = tiny()
    videos, _ = kv.data.Videos.from_folder(folder).usable(task.sampler)
    samples = kv.data.Samples(videos, task.sampler, seed=3)
    sequence = kv.data.BatchSequence(samples, 4)
    dataset = kv.data.tf_dataset(samples, 4)
    # One sample function: both give the same batches, epoch after epoch.
    for epoch in range(2):
        ours = [sequence[i] for i in range(len(sequence))]
        theirs = list(dataset.as_numpy_iterator())
        assert len(ours) == len(theirs) == 2
        for (x, y), (tf_x, tf_y) in zip(ours, theirs):
            assert np.array_equal(x["clips"], tf_x["clips"]) and np.array_equal(y, tf_y)
            assert np.array_equal(x["index"], tf_x["index"])
        if epoch == 0:
            first = ours
        sequence.on_epoch_end()
    assert not np.array_equal(first[0][0]["clips"], ours[0][0]["clips"])
    assert dataset.element_spec[0]["clips"].shape == (4, 3, 4, 16, 16, 3)
    for data in (sequence, dataset):
        assert np.isfinite(task.fit(data, epochs=1, verbose=0).history["loss"]).all()
    x, y = first[0]
    assert np.isfinite(task.fit(x["clips"], y, verbose=0).history["loss"]).all()
    assert len(task.evaluate(videos, batch_size=4, verbose=0)) == 2


def test_validation_sees_the_same_plans_every_epoch(folder):
    task = tiny()
    task.compile(keras.optimizers.SGD(0.0), task.loss)
    for layer in task.backbone.layers:
        layer.trainable = False  # batch statistics stay
    videos = kv.data.Videos.from_folder(folder)
    history = task.fit(videos, epochs=2, batch_size=4, validation_data=videos, verbose=0).history
    assert np.isclose(history["val_loss"][0], history["val_loss"][1], atol=1e-6)


def test_checkpoints_of_another_run_and_damaged_ones_are_refused(folder, tmp_path):
    videos = kv.data.Videos.from_folder(folder)
    out = str(tmp_path / "run")
    tiny().fit(videos, epochs=1, batch_size=4, out=out, verbose=0)
    with pytest.raises(ValueError, match="seed was 0, is 1"):
        tiny().fit(videos, epochs=2, batch_size=4, out=out, seed=1, resume=True, verbose=0)
    other = tiny(hidden=8)
    with pytest.raises(ValueError, match="same model"):
        other.fit(videos[:10], epochs=2, batch_size=4, out=out, resume=True, verbose=0)
    state = tmp_path / "run" / "checkpoints" / "state.npz"
    state.write_bytes(state.read_bytes()[:500])
    with pytest.raises(ValueError, match="remove it to start over"):
        tiny().fit(videos, epochs=2, batch_size=4, out=out, resume=True, verbose=0)


def test_a_run_that_had_ended_is_resumed_with_its_weights(folder, tmp_path):
    videos = kv.data.Videos.from_folder(folder)
    keras.utils.set_random_seed(0)
    first = tiny()
    first.fit(videos, epochs=1, batch_size=4, out=tmp_path, verbose=0)
    again = tiny()
    assert not np.array_equal(again.get_weights()[0], first.get_weights()[0])
    again.fit(videos, epochs=1, batch_size=4, out=tmp_path, resume=True, verbose=0)
    for one, two in zip(first.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(one, two)
    assert int(again.optimizer.iterations) == int(first.optimizer.iterations) > 0


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_state(folder, tmp_path):
    videos = kv.data.Videos.from_folder(folder)
    out = str(tmp_path / "run")
    tiny().fit(videos, epochs=1, batch_size=4, out=out, verbose=0)
    state = (tmp_path / "run" / "checkpoints" / "state.npz").read_bytes()
    task = tiny()
    task.head.classify.kernel.assign(np.full(task.head.classify.kernel.shape, np.nan))
    with pytest.raises(ValueError, match="finite loss, but it is nan at step 1"):
        task.fit(videos, epochs=1, batch_size=4, out=out, verbose=0)
    assert (tmp_path / "run" / "checkpoints" / "state.npz").read_bytes() == state


RUN = """
import sys, keras, numpy as np, keras_vssl as kv
from tests.tasks.test_fit import tiny
folder, out = sys.argv[1:]
keras.utils.set_random_seed(0)
task = tiny()
task.compile(keras.optimizers.Adam(1e-3), task.loss, metrics=["accuracy"])
class Log(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs):
        print("epoch", epoch, logs["loss"], logs["accuracy"], flush=True)
task.fit(kv.data.Videos.from_folder(folder), epochs=4, batch_size=2, out=out, save_every=2,
         resume=True, verbose=0, callbacks=[Log()])
np.savez(out + ".npz", *[keras.ops.convert_to_numpy(w) for w in task.weights])
"""


def test_a_run_killed_several_times_ends_with_the_same_weights(folder, tmp_path):
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    # TensorFlow promises the same sums only with its deterministic kernels.
    env["TF_DETERMINISTIC_OPS"] = "1"

    def start(out):
        command = [sys.executable, "-c", RUN, folder, str(out)]
        return subprocess.Popen(command, env=env, cwd=ROOT, text=True, stdout=subprocess.PIPE)

    whole = start(tmp_path / "whole")
    text, _ = whole.communicate()
    assert whole.returncode == 0
    state = tmp_path / "killed" / "checkpoints" / "state.npz"
    kills = 0
    while kills < 3:
        before = state.stat().st_mtime_ns if state.exists() else 0
        run = start(tmp_path / "killed")
        while run.poll() is None:
            if state.exists() and state.stat().st_mtime_ns != before:
                break
            time.sleep(0.005)
        if run.poll() is not None:
            break  # it finished between two looks
        run.send_signal(signal.SIGKILL)
        run.communicate()
        kills += 1
    assert kills >= 1
    last = start(tmp_path / "killed")
    resumed, _ = last.communicate()
    assert last.returncode == 0
    one, two = np.load(tmp_path / "whole.npz"), np.load(tmp_path / "killed.npz")
    assert len(one.files) == len(two.files) > 20
    assert all(np.array_equal(one[name], two[name]) for name in one.files)
    # The last epoch's metrics are whole too, also those of an epoch begun before the kill.
    assert text.splitlines()[-1] == resumed.splitlines()[-1]
