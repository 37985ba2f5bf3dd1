"""The list every task and every backbone goes through, on whatever back end is active.

`python -m tests.contract` runs it all and prints a line a subject; the tests call the same
functions here and, in a subprocess each, on the other back ends.
"""

import sys
import tempfile

import keras
import numpy as np

import keras_vssl as kv
from tests import backends

CLIP = {"frames": 4, "stride": 1, "resize": [20, 24], "size": 16}


@keras.saving.register_keras_serializable(package="tests")
class Shallow(kv.backbones.VideoBackbone):
    """Two convolutions with batch normalisation: the tasks are tested, and compile soon."""

    def __init__(self, width=8, clip_shape=(None, None, None, 3), dtype=None, **kwargs):
        x = inputs = keras.Input(clip_shape)
        endpoints = {}
        for i in (1, 2):
            conv = kv.layers.Conv3D(i * width, 3, 2, "same", name=f"conv{i}", dtype=dtype)
            norm = kv.layers.BatchNormalization(name=f"bn{i}", dtype=dtype)
            x = endpoints[f"layer{i}"] = keras.layers.ReLU(dtype=dtype)(norm(conv(x)))
        super().__init__(inputs, endpoints, 2 * width, dtype=dtype, **kwargs)
        self.width, self.clip_shape = width, clip_shape

    def get_config(self):
        return {**super().get_config(), "width": self.width, "clip_shape": self.clip_shape}


def nano(**kwargs):
    return Shallow(clip=CLIP, **kwargs)


def vcop(**kwargs):
    return kv.tasks.VCOP(
        nano(**kwargs), frames=4, gap=1, hidden=16, dropout=0.0, resize=(20, 24), size=16
    )


def classifier(**kwargs):
    return kv.downstream.VideoClassifier(nano(**kwargs), num_classes=3)


def cvrl(**kwargs):
    # The paper's augmentation drowns the noise that these clips are.
    return kv.tasks.CVRL(
        nano(**kwargs), (16, 8), frames=4, stride=1, size=16, asymmetric=False, strength=0.1
    )


def video_vit(clip_shape=(16, 32, 32, 3), patch=(4, 16, 16), **kwargs):
    return kv.backbones.VideoViT(
        width=48, depth=2, heads=3, patch=patch, clip_shape=clip_shape, **kwargs
    )


def videomae(**kwargs):
    vit = video_vit((2, 8, 8, 3), (2, 4, 4), clip={"stride": 1}, **kwargs)
    return kv.tasks.VideoMAE(vit, decoder_width=96, decoder_depth=1, decoder_heads=3, ratio=0.5)


def avts(**kwargs):
    ears = kv.backbones.AudioVGG((4, 8), (1, 2), (16,), (5, 10), front_end="avts", **kwargs)
    return kv.tasks.AVTS(nano(**kwargs), ears, dim=8, frames=4, seconds=0.2, size=16)


def speednet(**kwargs):
    return kv.tasks.SpeedNet(nano(**kwargs), frames=4, size=16)


def modist(**kwargs):
    task = kv.tasks.MoDist(
        nano(width=16, **kwargs), beta_inverse=2, widths=(32, 16), frames=4, stride=1, size=16,
        motion_frames=3, motion_stride=1, queue_size=2, jitter=0.0, grayscale=0.0, blur=0.0,
    )  # fmt: skip
    # Against an empty queue the loss is 0 and can't fall.
    keys = task(batch(task, None)[0], training=True)
    task.visual_queue.enqueue(keys[:, 2])
    task.motion_queue.enqueue(keys[:, 3])
    return task


def pace(**kwargs):
    return kv.tasks.Pace(nano(**kwargs), frames=4, resize=(20, 24), size=16, jitter=0.0)


def prp(**kwargs):
    return kv.tasks.PRP(nano(**kwargs), frames=4, steps=(1, 2), resize=(10, 12), size=8)


def ctp(**kwargs):
    # Its tracks are noise here: nothing would tell one patch of a clip from another.
    return kv.tasks.CtP(
        nano(**kwargs), frames=4, patches=1, hidden=128, bins=2, size=16, jitter=0.0, light=0.0
    )


def rspnet(**kwargs):
    task = kv.tasks.RSPNet(
        nano(width=16, **kwargs), dim=16, frames=4, size=16, queue_size=6, jitter=0.0, grayscale=0.0
    )
    # Against an empty queue the appearance terms are 0.
    task.queue.enqueue(keras.random.normal((6, 16), seed=0))
    return task


def shuffle_and_learn(**kwargs):
    return kv.tasks.ShuffleAndLearn(
        nano(**kwargs), motion=False, resize=(20, 24), size=16, hidden=16
    )


def opn(**kwargs):
    return kv.tasks.OPN(
        nano(**kwargs), motion=False, hidden=16, dropout=0.0, resize=(20, 24), size=16, margin=4
    )


def odd_one_out(**kwargs):
    network = nano(width=16, clip_shape=(None, None, None, 9), **kwargs)
    encoder = kv.backbones.ClipImageNet(network, 4, clip=CLIP, **kwargs)
    return kv.tasks.OddOneOut(encoder, 4, 4, hidden=32, resize=(20, 24), size=16)


def ultrasound_order(**kwargs):
    return kv.tasks.UltrasoundOrder(
        nano(**kwargs), stride=1, translation=0.0, hidden=16, dropout=0.0, size=8
    )


def tec(**kwargs):
    return kv.tasks.TimeEquivariant(
        nano(width=16, **kwargs), frames=4, size=16, speeds=2, hidden=32, dim=16, classifier=32,
        jitter=0.0, grayscale=0.0,
    )  # fmt: skip


def tracking_triplet(**kwargs):
    return kv.tasks.TrackingTriplet(nano(width=16, **kwargs), size=16)


def playback_speed(**kwargs):
    options = {"frames": 4, "speeds": (-2, -1, 1, 2), "resize": (20, 24), "size": 16}
    return kv.tasks.PlaybackSpeed(nano(**kwargs), hidden=16, dropout=0.0, **options)


def playback_speed_classify(**kwargs):
    options = {"frames": 4, "speeds": (-1, 1, 2), "resize": (20, 24), "size": 16}
    return kv.tasks.PlaybackSpeedClassification(nano(width=16, **kwargs), 2, **options)


def relations(rng, count):
    """TEC's targets: neighbours share pair, speeds, directions, shift and order."""
    pairs = (count + 1) // 2
    high = (2, 2, 2, 2, 9, 3)
    columns = [np.arange(pairs), *(rng.integers(0, top, pairs) for top in high)]
    return np.repeat(np.stack(columns, axis=1), 2, axis=0)[:count].astype("int32")


def image_classifier(**kwargs):
    return kv.downstream.ImageClassifier(
        nano(**kwargs), 3, hidden=(16,), dropout=0.0, resize=(20, 24), size=16
    )


def marks(rng, count):
    """Labels of images: present, absent, only difficult."""
    return rng.integers(-1, 2, (count, 3)).astype("int8")


def pose_regressor(**kwargs):
    return kv.downstream.PoseRegressor(nano(**kwargs), hidden=(16,), dropout=0.0, size=16)


def places(rng, count):
    """Joints in a crop, one of them not visible."""
    joints = np.concatenate([rng.uniform(-0.5, 0.5, (count, 7, 2)), np.ones((count, 7, 1))], -1)
    joints[:, 2] = 0
    return joints.astype("float32")


def surface_normals(**kwargs):
    directions = np.concatenate([np.eye(3), -np.eye(3)])
    return kv.downstream.SurfaceNormals(
        nano(**kwargs), directions, grid=2, hidden=(16,), dropout=0.0, size=16
    )


def cells(rng, count):
    """Directions of cells, -1 where there is none."""
    return rng.integers(-1, 6, (count, 2, 2)).astype("int32")


# name -> (a tiny task, its target: number of classes, function of a generator and a count, or None)
TASKS = {
    "VCOP": (vcop, 6),
    "VideoClassifier": (classifier, 3),
    "ImageClassifier": (image_classifier, marks),
    "PoseRegressor": (pose_regressor, places),
    "SurfaceNormals": (surface_normals, cells),
    "CVRL": (cvrl, None),
    "MoDist": (modist, None),
    "AVTS": (avts, None),
    "VideoMAE": (videomae, None),
    "Pace": (pace, 4),
    "PRP": (prp, lambda rng, count: rng.integers(0, 2, count)),
    "CtP": (ctp, None),
    "RSPNet": (rspnet, None),
    "SpeedNet": (speednet, None),
    "ShuffleAndLearn": (shuffle_and_learn, 2),
    "OPN": (opn, 12),
    "OddOneOut": (odd_one_out, 4),
    "UltrasoundOrder": (ultrasound_order, 12),
    "TimeEquivariant": (tec, relations),
    "TrackingTriplet": (tracking_triplet, None),
    "PlaybackSpeed": (playback_speed, 6),
    "PlaybackSpeedClassification": (
        playback_speed_classify,
        lambda rng, count: rng.integers(0, 3, (count, 2)),
    ),
}

# Equal blocks, so that a back end that compiles each shape compiles few.
NARROW_INCEPTION = {
    "width": 4,
    "channels": {
        "conv_2c": 16,
        **{f"mixed_{b}": (4,) * 6 for b in "3b 3c 4b 4c 4d 4e 4f 5b 5c".split()},
    },
    "kernel_initializer": "he_normal",
}

BACKBONES = {
    "C3D": lambda **kw: kv.backbones.C3D(width=4, **kw),
    "R3D": lambda **kw: kv.backbones.R3D(width=4, blocks=(1, 1, 1, 1), **kw),
    "MC3": lambda **kw: kv.backbones.MC3(width=4, blocks=(1, 1, 1, 1), **kw),
    "SlowResNet": lambda **kw: kv.backbones.SlowResNet(width=4, blocks=(1, 1, 1, 1), **kw),
    "R2Plus1D": lambda **kw: kv.backbones.R2Plus1D(width=4, blocks=(1, 1, 1, 1), **kw),
    "CaffeNet": lambda **kw: kv.backbones.CaffeNet(
        (6, 8, 12, 12, 8), (16,), (1, 1), True, stem_stride=2, kernel_initializer="he_normal", **kw
    ),
    "I3D": lambda **kw: kv.backbones.I3D(**NARROW_INCEPTION, **kw),
    "S3D": lambda **kw: kv.backbones.S3D(**NARROW_INCEPTION, gating="mixed_3b", **kw),
    "TSMResNet": lambda **kw: kv.backbones.TSMResNet(width=8, blocks=(1, 1, 1, 1), **kw),
    "TSMResNetV2": lambda **kw: kv.backbones.TSMResNetV2(width=8, blocks=(1, 1, 1, 1), **kw),
    "VideoViT": video_vit,
    "RotaryVideoViT": lambda **k: video_vit(positions="rotary", qkv_bias="all", **k),
    "FactorisedViT": lambda **k: kv.backbones.FactorisedViT(
        48, 2, 3, 1, patch=(4, 16, 16), clip_shape=(16, 32, 32, 3), **k
    ),
    "SwinV2": lambda **kw: kv.backbones.SwinV2(
        16, (1, 2), (1, 2), 4, clip_shape=(None, 32, 32, 3), **kw
    ),
}

# Networks on sound: name -> (a tiny network, the shape of one waveform).
SOUND = {
    "AudioVGG": (
        lambda **kw: kv.backbones.AudioVGG((4, 8), (1, 2), (16,), (5, 10), front_end="avts", **kw),
        (3200,),
    ),
    "AudioResNet": (
        lambda **kw: kv.backbones.AudioResNet((4, 8), (1, 1), (1, 2), front_end="crisscross", **kw),
        (4800,),
    ),
    "AudioResNetV2": (
        lambda **kw: kv.backbones.AudioResNetV2((1, 1, 1, 1), 4, front_end="mmv", **kw),
        (12032,),
    ),
    "WaveViT": (
        lambda **kw: kv.backbones.WaveViT(width=24, depth=2, heads=2, patch=40, samples=800, **kw),
        (800,),
    ),
    "AudioViT": (
        lambda **kw: kv.backbones.AudioViT(
            frames=32, bands=128, width=24, depth=2, heads=2, front_end="audiomae", **kw
        ),
        (5360,),
    ),
}


def batch(task, classes, count=6, seed=0):
    """What a task is fitted on: noise for all that its sampler reads, and targets if it has any.

    uint8 clips `[B, V, T, H, W, 3]` where the sampler reads nothing else, a dict by name otherwise.
    """
    rng = np.random.default_rng(seed)
    inputs = {
        name: rng.integers(0, 256, (count, *shape), dtype=dtype)
        if dtype == "uint8"
        else rng.uniform(-1, 1, (count, *shape)).astype(dtype)
        for name, (shape, dtype) in task.sampler.shapes.items()
    }
    inputs = inputs["clips"] if list(inputs) == ["clips"] else inputs
    if callable(classes):
        return inputs, classes(rng, count)
    return (inputs,) if classes is None else (inputs, rng.integers(0, classes, count))


def check_task(name, subset=False):
    """Builds, fits, learns one batch, and survives its config, its preset and bfloat16.

    The subset leaves out training with the recipe in float32, which is trained in bfloat16 anyway,
    and compares what was loaded by its weights: a back end that compiles every model compiles few.
    """
    make, classes = TASKS[name]
    keras.utils.set_random_seed(1)
    task = make()
    assert task.built and task.weights, "a task is built when constructed"
    data = batch(task, classes)
    clips, metrics = data[0], ["accuracy"] if isinstance(classes, int) else None

    if not subset:  # the compiled recipe trains
        history = task.fit(*data, batch_size=6, epochs=2, verbose=0)
        assert np.isfinite(history.history["loss"]).all()

    # The loss falls on one batch.
    keras.utils.set_random_seed(1)
    task = make()
    task.compile(keras.optimizers.Adam(3e-3), task.loss, metrics=metrics)
    losses = task.fit(*data, batch_size=6, epochs=25, verbose=0).history["loss"]
    first, last = losses[0], np.mean(losses[-3:])
    assert last < 0.6 * first, f"the loss fell from {first:.3f} to {last:.3f} only"

    named = clips if isinstance(clips, dict) else {"clips": clips}
    if not subset:  # a dict with the rows is the same input
        index = np.arange(len(named["clips"]), dtype="int32")
        plain = outputs(task, clips)
        assert np.allclose(plain, outputs(task, {**named, "index": index}), atol=1e-5)

    # A PyDataset of batches does as well as arrays.
    class OneBatch(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return data

    task.fit(OneBatch(), epochs=1, verbose=0)
    plain = outputs(task, clips)

    # Config round trip: the same arguments, the same weights' shapes.
    copy = type(task).from_config(task.get_config())
    assert [w.shape for w in copy.weights] == [w.shape for w in task.weights]
    assert _without_backbone(copy) == _without_backbone(task)

    # Preset round trip: the same outputs.
    with tempfile.TemporaryDirectory() as folder:
        task.save_to_preset(f"{folder}/preset")
        loaded = type(task).from_preset(f"{folder}/preset")
        backbone = kv.backbones.VideoBackbone.from_preset(f"{folder}/preset")
        if subset:
            assert_same_weights(loaded, task)
            assert_same_weights(backbone, task.backbone)
        else:
            assert np.allclose(plain, outputs(loaded, clips), atol=1e-4)
            flat = named["clips"][:, 0]
            assert np.allclose(outputs(backbone, flat), outputs(task.backbone, flat), atol=1e-4)

    # Compiled to one program where that is not how the back end runs anyway.
    if keras.config.backend() == "tensorflow":
        task.compile(keras.optimizers.SGD(1e-3), task.loss, jit_compile=True)
        assert np.isfinite(task.train_on_batch(*data)).all()

    # Mixed precision: weights stay float32, outputs stay near.
    half = make(dtype="mixed_bfloat16")
    for new, old in zip(half.weights, task.weights):
        new.assign(old)
    assert {keras.backend.standardize_dtype(w.dtype) for w in half.trainable_weights} == {"float32"}
    full = outputs(task, clips)
    gap = np.abs(outputs(half, clips) - full).max()
    assert gap < 0.1 * max(1.0, np.abs(full).max()), f"bfloat16 is off by {gap}"
    assert np.isfinite(half.fit(*data, batch_size=6, verbose=0).history["loss"]).all()


def check_backbone(name, subset=False):
    """uint8 and float input, endpoints, config and preset round trips, half precision.

    The subset is as that of `check_task`: uint8 input, and weights in place of outputs.
    """
    make = BACKBONES[name]
    keras.utils.set_random_seed(2)
    backbone = make(clip=CLIP)
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (2, 16, 32, 32, 3), dtype=np.uint8)
    features = outputs(backbone, clips)
    assert features.ndim == 5 and features.shape[-1] == backbone.feature_dim
    if not subset:
        scaled = (clips / 255.0 - np.array(backbone.mean)) / np.array(backbone.std)
        assert np.allclose(features, outputs(backbone, scaled.astype("float32")), atol=1e-3)
        last = list(backbone.endpoints)[-1]
        assert np.allclose(features, outputs(backbone.endpoint(last), clips), atol=1e-5)
    copy = type(backbone).from_config(backbone.get_config())
    assert copy.get_config() == backbone.get_config()
    with tempfile.TemporaryDirectory() as folder:
        backbone.save_to_preset(f"{folder}/preset")
        loaded = kv.backbones.VideoBackbone.from_preset(f"{folder}/preset")
        if subset:
            assert_same_weights(loaded, backbone)
        else:
            assert np.allclose(features, outputs(loaded, clips), atol=1e-4)
    check_precisions(make, backbone, clips, clip=CLIP)


# 8 and 11 bits of precision, through the depth of these networks.
PRECISIONS = {"mixed_bfloat16": 0.1, "mixed_float16": 0.01}


def check_precisions(make, backbone, inputs, **options):
    """Half precision stays near float32: within so much of the largest output."""
    expected = outputs(backbone, inputs)
    for policy, bound in PRECISIONS.items():
        if policy == "mixed_float16" and keras.config.backend() == "jax":
            continue  # XLA has no float16 matrix product on a CPU where it compiles in a hurry
        half = make(dtype=policy, **options)
        half.set_weights(backbone.get_weights())
        gap = np.abs(outputs(half, inputs) - expected).max() / max(1.0, np.abs(expected).max())
        assert gap < bound, f"{policy} is off by {gap:.4f} of the largest output"


def outputs(model, inputs):
    """A forward pass in inference mode as float32 NumPy; several outputs end to end."""
    leaves = [
        keras.ops.convert_to_numpy(keras.ops.cast(leaf, "float32"))
        for leaf in keras.tree.flatten(backends.infer(model, inputs))
    ]
    return leaves[0] if len(leaves) == 1 else np.concatenate([leaf.reshape(-1) for leaf in leaves])


def assert_same_weights(model, other):
    """Weights equal to the last bit, one by one in order."""
    assert len(model.weights) == len(other.weights)
    for weight, expected in zip(model.weights, other.weights):
        values = (keras.ops.convert_to_numpy(w) for w in (weight, expected))
        assert np.array_equal(*values), f"{expected.path} is not what was saved"


def _without_backbone(task):
    return {k: v for k, v in task.get_config().items() if k != "backbone"}


def main():
    """Runs the whole list; exits non-zero at the first broken promise."""
    for name in BACKBONES:
        check_backbone(name, subset=True)
        print(f"{keras.config.backend()}: backbone {name} passed", flush=True)
    for name in TASKS:
        check_task(name, subset=True)
        print(f"{keras.config.backend()}: task {name} passed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
