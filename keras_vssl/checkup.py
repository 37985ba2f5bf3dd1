"""What works on this machine: versions, backend, devices, decoder, caches."""

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import tempfile

PACKAGES = (
    "keras-vssl",
    "keras",
    "keras-hub",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "av",
    "pillow",
    "huggingface-hub",
    "h5py",
)
# What a user's own videos are most often coded in; each is only looked up, never needed.
CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "aac", "opus")
HUB = "https://huggingface.co"


def doctor():
    """Examines the installation. Nothing is raised and nothing is fetched from a network.

    Returns:
        dict of items, each a dict with "ok" (bool) and either what was found or "error" (the
        first real error, one line):

        - "system": python, platform, cores, memory in GB, free disk in GB.
        - "packages": versions; None where a package is absent.
        - "backend": the active Keras backend and its devices.
        - "precision": CPU features that matter and what `--precision auto` would pick.
        - "decoder": FFmpeg's library versions and the codecs it can read.
        - "decode": a clip that was encoded, written, and read back frame by frame.
        - "cache": folders of downloaded presets and of Keras, and whether they can be written.
        - "hub": the hub's address, and whether a token is set (never its value).

        And "ok": whether every item is.

    Example:

    ```python
    print(keras_vssl.doctor()["decode"])
    ```
    """
    checks = {
        "system": _system,
        "packages": _packages,
        "backend": _backend,
        "precision": _precision,
        "decoder": _decoder,
        "decode": _decode,
        "cache": _cache,
        "hub": _hub,
    }
    found = {name: _guarded(check) for name, check in checks.items()}
    return {"ok": all(item["ok"] for item in found.values()), **found}


def text(found):
    """The dict of `doctor()` as lines for a terminal."""
    lines = []
    for name, item in found.items():
        if name == "ok":
            continue
        mark = "ok  " if item["ok"] else "FAIL"
        pairs = [f"{key} {_shown(value)}" for key, value in item.items() if key != "ok"]
        lines.append(f"{mark}  {name:<10}" + _wrapped(pairs))
    lines.append("everything works" if found["ok"] else "see the lines marked FAIL")
    return "\n".join(lines)


def _wrapped(pairs, width=96):
    lines, current = [], ""
    for pair in pairs:
        if current and len(current) + len(pair) + 2 > width - 16:
            lines.append(current + ",")
            current = pair
        else:
            current = f"{current}, {pair}" if current else pair
    lines.append(current)
    return ("\n" + " " * 16).join(lines)


def _shown(value):
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "none"
    return str(value)


def _guarded(check):
    try:
        return {"ok": True, **check()}
    except Exception as error:  # a broken installation raises anything, and must be named
        return {"ok": False, "error": _first_error(error)}


def _first_error(error):
    """The error everything started from, on one line: imports wrap theirs many times."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def _system():
    import shutil

    found = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": _cores(),
    }
    with contextlib.suppress(OSError, ValueError, AttributeError):
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        found["memory_gb"] = round(pages * size / 1e9, 1)
    found["disk_free_gb"] = round(shutil.disk_usage(os.getcwd()).free / 1e9, 1)
    return found


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _packages():
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    if found["keras-vssl"] is None:
        from keras_vssl import __version__

        found["keras-vssl"] = __version__
    # Builds under another name: tensorflow-cpu, tf-nightly, opencv-style splits.
    if found["tensorflow"] is None and importlib.util.find_spec("tensorflow"):
        found["tensorflow"] = "present (another distribution name)"
    missing = [n for n in ("keras", "keras-hub", "numpy", "av", "pillow") if found[n] is None]
    if missing:
        return {"ok": False, **found, "error": f"missing: pip install {' '.join(missing)}"}
    return found


def _backend():
    import keras

    from keras_vssl import precision

    name = keras.config.backend()
    accelerators = precision.gpus()
    ones = keras.ops.ones((64, 64))
    result = float(keras.ops.convert_to_numpy(keras.ops.sum(keras.ops.matmul(ones, ones))))
    if result != 64.0**3:
        raise RuntimeError(f"a 64x64 matrix product gave {result}, expected {64.0**3}")
    return {
        "name": name,
        "devices": accelerators or ["cpu"],
        "dtype_policy": keras.config.dtype_policy().name,
        "image_data_format": keras.config.image_data_format(),
    }


def cpu_flags(path="/proc/cpuinfo"):
    """The CPU's feature flags as a set; empty where the system does not say."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    return set(value.split())
    except OSError:
        pass
    return set()


def _precision():
    from keras_vssl import precision

    flags = cpu_flags()
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "bf16")
    policy, reason = precision.choose("auto")
    return {"cpu": [flag for flag in known if flag in flags], "auto": policy, "reason": reason}


def _decoder():
    import av

    versions = {
        name: ".".join(map(str, version))
        for name, version in av.library_versions.items()
        if name in ("libavcodec", "libavformat", "libswscale")
    }
    readable = [name for name in CODECS if name in av.codecs_available]
    found = {"ffmpeg": getattr(av, "ffmpeg_version_info", "unknown"), **versions}
    return {**found, "codecs": readable}


def _decode():
    """Encodes 12 grey levels, reads them back through the library's reader, compares."""
    import av
    import numpy as np

    from keras_vssl.data import VideoReader

    with tempfile.TemporaryDirectory() as folder:
        for codec in ("libx264", "mpeg4"):
            path = os.path.join(folder, f"{codec}.mp4")
            levels = np.arange(12) * 18 + 20
            try:
                _encode(av, path, codec, levels)
            except Exception:  # an FFmpeg without x264 still reads it
                if codec == "mpeg4":
                    raise
                continue
            with VideoReader(path) as reader:
                frames = reader.frames(range(12))
            means = np.array([frame.mean() for frame in frames])
            worst = float(np.abs(means - levels).max())
            if len(frames) != 12 or worst > 6:
                raise RuntimeError(f"read {len(frames)} of 12 frames, grey off by {worst:.1f}")
            return {"codec": codec, "frames": len(frames), "largest_error": round(worst, 1)}


def _encode(av, path, codec, levels):
    import numpy as np

    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in levels:
            picture = np.full((48, 64, 3), level, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _cache():
    hub = os.environ.get("HF_HUB_CACHE") or os.path.join(
        os.environ.get("HF_HOME", os.path.join("~", ".cache", "huggingface")), "hub"
    )
    keras = os.environ.get("KERAS_HOME", os.path.join("~", ".keras"))
    found = {"presets": os.path.expanduser(hub), "keras": os.path.expanduser(keras)}
    for path in found.values():
        if not os.access(_existing(path), os.W_OK):
            return {
                "ok": False,
                **found,
                "error": f"{path} can't be written",
            }
    return found


def _existing(path):
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _hub():
    token_file = os.path.expanduser(
        os.path.join(os.environ.get("HF_HOME", os.path.join("~", ".cache", "huggingface")), "token")
    )
    return {
        "endpoint": os.environ.get("HF_ENDPOINT", HUB),
        "offline": os.environ.get("HF_HUB_OFFLINE", "0") in ("1", "true", "TRUE", "ON", "YES"),
        "token": bool(os.environ.get("HF_TOKEN")) or os.path.exists(token_file),
        "installed": importlib.util.find_spec("huggingface_hub") is not None,
    }
