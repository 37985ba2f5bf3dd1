"""Presets by name: the folder a name stands for, and the list of names."""

import difflib
import os

from keras_vssl.hub.errors import PresetError
from keras_vssl.hub.folder import (
    CONFIG,
    SHARDS,
    WEIGHTS,
    check_config,
    check_files,
    describe,
    read_json,
)
from keras_vssl.hub.remote import SCHEME, download

_OTHER_HUBS = ("kaggle://", "gs://", "modelscope://", "https://", "http://")


def resolve(preset, token=None):
    """The folder that a preset's name stands for, checked and ready to load.

    Looked up in this order: an existing folder, the trained presets that come with the package,
    the Hugging Face hub. Nothing from the preset is run: its files are checked to be complete
    and to name only classes of keras_vssl, keras_hub and Keras (see `check_config`).

    Args:
        preset: str or path-like. A preset's folder, or a run's folder with `preset/` inside;
            the name of a trained preset (see `list_presets`); or "hf://user/name", with
            "@revision" for a branch, tag or commit.
        token: str or None, the hub's token. `None` takes HF_TOKEN or what `hf auth login` stored.

    Returns:
        str, the path of a local folder with a config.json.

    Raises:
        PresetError: one sentence on what is missing or wrong and what to do.

    Example:

    ```python
    folder = keras_vssl.hub.resolve("hf://user/vcop_r3d_18")
    keras_vssl.hub.describe(folder)["parameters"]
    ```
    """
    if not isinstance(preset, (str, os.PathLike)):
        raise PresetError(
            "Expected a preset as a folder, a name or hf://user/name, got a "
            f"{type(preset).__name__}."
        )
    preset = os.fspath(preset)
    if not preset:
        raise PresetError("Expected a preset as a folder, a name or hf://user/name, got ''.")
    if preset.startswith(SCHEME):
        folder = download(preset, token)
    elif preset.startswith(_OTHER_HUBS):
        raise PresetError(
            f"Presets come from a folder, by a built-in name or from hf://user/name, got "
            f"{preset!r}; download it with its own client and give the folder."
        )
    elif os.path.isdir(os.path.expanduser(preset)):
        folder = local_folder(os.path.expanduser(preset))
    else:
        folder = _trained().get(preset)
        if folder is None:
            raise _unknown(preset)
    check_config(folder)
    check_files(folder)
    return folder


def local_folder(folder):
    """The preset in `folder`: the folder itself, or the `preset` folder of a run.

    Raises:
        PresetError: there is no config.json in either.
    """
    for candidate in (folder, os.path.join(folder, "preset")):
        # A run also writes a config.json, of its command; the weights tell them apart.
        if candidate == folder and os.path.isdir(os.path.join(folder, "preset")):
            continue
        if os.path.isfile(os.path.join(candidate, CONFIG)):
            if os.path.isdir(os.path.join(candidate, "checkpoints")):
                raise PresetError(
                    f"The run in {folder} has not written its preset yet; finish it with --resume, "
                    "or give another preset."
                )
            return candidate
    names = sorted(os.listdir(folder))
    holds = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "") if names else "nothing"
    raise PresetError(
        f"Expected a preset's folder with a {CONFIG}, but {folder} holds {holds}; give a folder "
        "that save_to_preset wrote, or a run's folder."
    )


def list_presets():
    """The presets by name: trained ones, architectures, and checkpoints that can be converted.

    Reads JSON files and imports no framework.

    Returns:
        list of dicts with "name", "kind", "class" (the backbone's), "parameters" (int or `None`)
        and "description" (one line). The kinds:

        - "trained": loads with its weights; also has "task", "method", "data", "licence", "folder";
        - "architecture": loads with random weights; also has "multiply_adds" at one "input";
        - "checkpoint": is kept by its authors and has to be converted; also has "format", "file",
          "where", "architecture", "data", "figures", "options", "sha256", "licence", "citation".
    """
    rows = []
    for name, folder in sorted(_trained().items()):
        about = describe(folder)
        rows.append(
            {
                "name": name,
                "kind": "trained",
                "class": about["backbone"],
                "parameters": about["parameters"],
                "description": about["description"] or _describe_line(about),
                "task": about["task"],
                "method": about["method"],
                "data": about["data"],
                "licence": about["licence"],
                "folder": folder,
            }
        )
    index = preset_index()
    counted = {row["name"]: row for row in index["architectures"]}
    for name, entry in _architectures().items():
        row = counted.get(name, {})
        rows.append(
            {
                "name": name,
                "kind": "architecture",
                "class": entry["class_name"],
                "parameters": row.get("parameters"),
                "description": entry["description"],
                "multiply_adds": row.get("multiply_adds"),
                "input": row.get("input"),
            }
        )
    for row in index["checkpoints"]:
        architecture = counted.get(row["architecture"], {})
        rows.append(
            {
                "kind": "checkpoint",
                "class": architecture.get("class"),
                "parameters": architecture.get("parameters"),
                "description": f"{row['data'] or 'published weights'}; {row['licence']}",
                **row,
            }
        )
    return rows


def preset_folders():
    """The folders that hold trained presets: in a wheel inside the package, else the checkout's.

    A `presets` folder counts only beside the checkout's pyproject.toml, since the folder above
    an installed package is site-packages.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    checkout = os.path.dirname(package)
    folders = [os.path.join(package, "_presets")]
    if os.path.exists(os.path.join(checkout, "pyproject.toml")):
        folders.append(os.path.join(checkout, "presets"))
    return [folder for folder in folders if os.path.isdir(folder)]


def preset_index():
    """What presets/index.json says: "architectures" and "checkpoints", a list of dicts each."""
    for root in preset_folders():
        path = os.path.join(root, "index.json")
        if os.path.isfile(path):
            return read_json(path)
    return {"architectures": [], "checkpoints": []}


def _trained():
    """Name -> folder of every trained preset that is here; architectures have no weights."""
    found = {}
    for root in preset_folders():
        for name in os.listdir(root):
            folder = os.path.join(root, name)
            if any(os.path.isfile(os.path.join(folder, file)) for file in (WEIGHTS, SHARDS)):
                found.setdefault(name, folder)
    return found


def _architectures():
    from keras_vssl.backbones.presets import ARCHITECTURES

    return ARCHITECTURES


def _describe_line(about):
    method = f"{about['method']} " if about["method"] else ""
    data = f" on {about['data']}" if about["data"] else ""
    return f"{about['backbone']} pretrained with {method}{data}".replace("  ", " ").strip()


def _unknown(preset):
    """The error for a name that stands for nothing, with what may have been meant."""
    architectures = _architectures()
    if preset in architectures:
        name = architectures[preset]["class_name"]
        return PresetError(
            f"{preset} is an architecture without trained weights; build it with "
            f"keras_vssl.backbones.{name}.from_preset({preset!r}), or give a trained preset "
            "(`keras-vssl presets` lists them)."
        )
    published = {row["name"]: row for row in preset_index()["checkpoints"]}
    if preset in published:
        row = published[preset]
        return PresetError(
            f"{preset} is a checkpoint that its authors keep ({row['licence']}); fetch "
            f"{row['file'] or 'its file'} from {row['where']}, run `keras-vssl convert "
            f"{row['format']} FILE --out {preset}/`, and give that folder."
        )
    if os.path.exists(preset):
        return PresetError(f"Expected a preset's folder, but {preset} is a file; give its folder.")
    names = sorted({*_trained(), *architectures, *published})
    close = difflib.get_close_matches(preset, names, n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    return PresetError(
        f"No folder and no built-in preset is named {preset!r}; {meant}`keras-vssl presets` or "
        "keras_vssl.list_presets() lists the names, and hf://user/name loads from the hub."
    )
