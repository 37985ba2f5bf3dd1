"""Converting and loading a checkpoint needs less than 2.5 times its size."""

import os
import sys
import threading
import time

import pytest

from tests import backends

BOUND = 2.5


def test_a_checkpoint_needs_little_more_memory_than_its_file(tmp_path):
    pytest.importorskip("torch")
    if not os.path.exists("/proc/self/status"):
        pytest.skip("memory is read from /proc")
    printed = backends.python("tensorflow", "-m", "tests.convert.test_memory", str(tmp_path))
    ratios = {line.split()[0]: float(line.split()[1]) for line in printed.splitlines() if line}
    assert set(ratios) == {"convert", "load"} and max(ratios.values()) < BOUND, ratios


def held():
    """Bytes of memory that are this process's own: pages of a mapped file are not needed."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("RssAnon"))
    return 1024 * int(line.split()[1])


class Watch(threading.Thread):
    """The most memory held while a block runs, beyond what was held before it."""

    def __enter__(self):
        self.before = self.most = held()
        self.done = False
        self.start()
        return self

    def run(self):
        while not self.done:
            self.most = max(self.most, held())
            time.sleep(0.005)

    def __exit__(self, *error):
        self.done = True
        self.join()
        self.extra = self.most - self.before


def main(folder):
    """Prints how many times its size a file of ViT-B's tensors needs."""
    import numpy as np
    import torch

    import keras_vssl as kv
    from keras_vssl.convert import convert

    width, grid = 768, (2, 16, 16)
    sizes = {"fc1": (4 * width, width), "fc2": (width, 4 * width)}
    state = {
        "patch_embed.proj.weight": (width, 3, *grid), "patch_embed.proj.bias": (width,),
        "fc_norm.weight": (width,), "fc_norm.bias": (width,),
        "head.weight": (5, width), "head.bias": (5,),
    }  # fmt: skip
    for i in range(12):
        for name in ("norm1", "norm2"):
            state |= {f"blocks.{i}.{name}.{kind}": (width,) for kind in ("weight", "bias")}
        state |= {f"blocks.{i}.attn.{name}": (width,) for name in ("q_bias", "v_bias", "proj.bias")}
        state[f"blocks.{i}.attn.qkv.weight"] = (3 * width, width)
        state[f"blocks.{i}.attn.proj.weight"] = (width, width)
        for name, shape in sizes.items():
            state[f"blocks.{i}.mlp.{name}.weight"] = shape
            state[f"blocks.{i}.mlp.{name}.bias"] = shape[:1]
    path = os.path.join(folder, "vit.pth")
    torch.save({"model": {name: torch.zeros(shape) for name, shape in state.items()}}, path)
    # What a first conversion imports and starts is not the checkpoint's.
    tiny = kv.backbones.C3D(width=4)
    tiny.save_to_preset(os.path.join(folder, "tiny"))
    kv.backbones.VideoBackbone.from_preset(os.path.join(folder, "tiny"))(
        np.zeros((1, 16, 16, 16, 3), "float32")
    )
    size = os.path.getsize(path)
    with Watch() as watch:
        convert(path, out=os.path.join(folder, "preset"))
    print("convert", watch.extra / size)
    with Watch() as watch:
        kv.downstream.VideoClassifier.from_preset(os.path.join(folder, "preset"))
    print("load", watch.extra / size, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
