"""How long a user waits: the command line's answer, the import, the first training step.

`python -m benchmarks.startup` starts whole processes in turns, so that what Python does at their end
counts too. `--smoke` does each once.
"""

import argparse
import os
import sys

from benchmarks import compare

ABOUT = (
    "Whole processes, from their start to their end. The bare model of the first training step is the "
    "same network and the same head, layer by layer, of Keras' own layers, with XLA off as the library "
    "has it on a CPU."
)
HELP = "from keras_vssl.cli import main; raise SystemExit(main(['--help']))"
LIBRARY = "import keras_vssl as kv; kv.backbones.R3D; kv.tasks.VCOP"
BATCH, CLIPS, FRAMES, SIZE = 4, 3, 8, 48


def main(argv=None, folder=compare.RESULTS):
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--smoke", action="store_true", help="the shortest run, nothing is written")
    parser.add_argument("--step", choices=("task", "model"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.step:
        return first_step(arguments.step)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rounds, warmup = (1, 0) if arguments.smoke else (arguments.rounds, 1)

    def python(*words):
        return [sys.executable, *words]

    def step(kind):
        return python("-m", "benchmarks.startup", "--step", kind)

    help_ = compare.compare(
        "keras-vssl --help", {"keras_vssl": python("-c", HELP)}, rounds, warmup=warmup
    )
    comparisons = [help_]
    if not arguments.smoke:
        comparisons += [
            compare.compare(
                "import, first network and first method",
                {"keras_vssl": python("-c", LIBRARY), "import keras": python("-c", "import keras")},
                rounds,
                warmup=warmup,
                most=1.2,
            ),
            compare.compare(
                "first training step, R3D nano with VCOP's head",
                {"keras_vssl": step("task"), "bare Keras model": step("model")},
                rounds,
                warmup=warmup,
                most=1.5,
            ),
        ]
    longest = max(help_["rounds"]["keras_vssl"])
    found = compare.save(
        "startup",
        ABOUT,
        comparisons,
        [compare.figure("keras-vssl --help, the slowest of all rounds", longest, "s", most=0.5)],
        packages=("keras", "keras-hub", "tensorflow"),
        settings={
            "rounds": rounds,
            "backend": os.environ["KERAS_BACKEND"],
            "clips": [BATCH, CLIPS, FRAMES, SIZE, SIZE, 3],
        },
        folder=None if arguments.smoke else folder,
    )
    compare.show(found)


def first_step(kind):
    """One training step on random clips, by the library's task or by the bare model."""
    import numpy as np

    model = task() if kind == "task" else bare_model()
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (BATCH, CLIPS, FRAMES, SIZE, SIZE, 3), dtype="uint8")
    model.train_on_batch(clips, rng.integers(0, 6, BATCH))


def task():
    """VCOP on R3D nano."""
    import keras_vssl as kv

    backbone = kv.backbones.R3D.from_preset("r3d_nano")
    return kv.tasks.VCOP(backbone, frames=FRAMES, size=SIZE, resize=(48, 64))


def bare_model():
    """The same network of Keras' own layers, compiled in the same way."""
    import keras
    from keras import layers, ops

    def convolve(x, channels, kernel=3, stride=1):
        if kernel == 3 and stride == 2:
            x, padding = layers.ZeroPadding3D(1)(x), "valid"
        else:
            padding = "valid" if kernel == 1 else "same"
        x = layers.Conv3D(channels, kernel, stride, padding, use_bias=False)(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

    clip = keras.Input((FRAMES, SIZE, SIZE, 3))
    x = layers.ZeroPadding3D((1, 3, 3))(clip)
    x = layers.Conv3D(16, (3, 7, 7), (1, 2, 2), "valid", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
    for stage in range(4):
        channels, stride = 16 * 2**stage, 2 if stage else 1
        y = convolve(layers.ReLU()(convolve(x, channels, stride=stride)), channels)
        shortcut = convolve(x, channels, 1, 2) if stage else x
        x = layers.ReLU()(layers.Add()([shortcut, y]))
    network = keras.Model(clip, layers.GlobalAveragePooling3D()(x))
    inputs = keras.Input((CLIPS, FRAMES, SIZE, SIZE, 3), dtype="uint8")
    flat = ops.reshape(inputs, (-1, FRAMES, SIZE, SIZE, 3))
    features = network(ops.cast(flat, "float32") / 255.0)
    features = ops.reshape(features, (-1, CLIPS, 128))
    pair = layers.Dense(512, "relu")
    pairs = [(i, j) for i in range(CLIPS) for j in range(i + 1, CLIPS)]
    joined = [pair(ops.concatenate([features[:, i], features[:, j]], -1)) for i, j in pairs]
    logits = layers.Dense(6)(layers.Dropout(0.5)(ops.concatenate(joined, -1)))
    model = keras.Model(inputs, logits)
    model.compile(
        keras.optimizers.SGD(1e-3, momentum=0.9, weight_decay=5e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


if __name__ == "__main__":
    sys.exit(main())
