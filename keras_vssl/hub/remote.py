"""Presets of the Hugging Face hub: fetched into its cache, and verified there."""

import contextlib
import hashlib
import os
import re
import urllib.parse
import warnings

from keras_vssl.files import write_json_atomic
from keras_vssl.hub.errors import (
    OFFLINE_ADVICE,
    PresetError,
    cause,
    explain,
    is_unreachable,
    status,
)
from keras_vssl.hub.folder import CONFIG, is_known, read_json

SCHEME = "hf://"
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_URI = re.compile(rf"hf://(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[A-Za-z0-9._/-]{{1,200}}))?")


def parse_uri(uri):
    """Splits "hf://user/name@revision".

    Args:
        uri: str.

    Returns:
        ("user/name", revision or None).

    Raises:
        PresetError: the address has another form.
    """
    match = _URI.fullmatch(uri)
    if match is None or ".." in uri:
        raise PresetError(
            f"Expected an address of the form hf://user/name or hf://user/name@revision, got "
            f"{uri!r}."
        )
    return match["repo"], match["revision"]


def endpoint():
    """The hub's address. The client reads HF_ENDPOINT only when it is imported, so it is told."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def client(token=None):
    """The hub's API object for the current endpoint.

    Args:
        token: str, or None for HF_TOKEN or the one that `hf auth login` stored.
    """
    import huggingface_hub

    from keras_vssl import __version__

    return huggingface_hub.HfApi(
        endpoint=endpoint(), token=token, library_name="keras_vssl", library_version=__version__
    )


def download(uri, token=None):
    """The folder of a hub preset, complete and with every file's checksum verified.

    The files go to the hub client's own cache, so `hf cache` knows them. What was verified is
    noted beside them; when the hub can't be reached, that note says whether the cached preset
    is complete and sound. A file whose checksum is wrong is removed from the cache.

    Args:
        uri: str, "hf://user/name" or "hf://user/name@revision" (branch, tag or commit).
        token: str or None.

    Returns:
        str, the folder.

    Raises:
        PresetError: the repository is missing, the token is wrong, the hub can't be reached and
            nothing is cached, a download broke off, or a file is corrupt.
    """
    repo, revision = parse_uri(uri)
    if _offline():
        return _cached(repo, revision) or _raise_offline(repo, revision)
    api = client(token)
    try:
        info = api.model_info(repo, revision=revision, files_metadata=True, timeout=20)
    except Exception as error:
        if is_unreachable(error):
            folder = _cached(repo, revision)
            if folder is not None:
                warnings.warn(
                    f"The hub at {endpoint()} can't be reached; {uri} is loaded from the cache.",
                    stacklevel=2,
                )
                return folder
        raise explain(error, repo, revision, endpoint=endpoint(), doing="download") from error
    files = {
        file.rfilename: _expected(file) for file in info.siblings or () if is_known(file.rfilename)
    }
    if CONFIG not in files:
        raise PresetError(
            f"{uri} is a model repository but holds no Keras preset (no {CONFIG}, or not at its "
            f"top level); see {endpoint()}/{repo}/tree/main."
        )
    # Weights are most of the bytes and most of the risk: a broken download then ends before the
    # small files make the snapshot look like a preset to other tools that read this cache.
    for name in sorted(files, key=lambda name: (not name.endswith(".h5"), name)):
        folder = os.path.dirname(_fetch(api, repo, name, info.sha, files[name], revision))
    note = {"commit": info.sha, "files": files}
    write_json_atomic(_note(repo, revision), note)
    return folder


def _expected(file):
    """What the hub says of a file: size, and SHA-256 (large files) or git's SHA-1 (others)."""
    if file.lfs is not None:
        return {"size": file.lfs.size, "sha256": file.lfs.sha256}
    return {"size": file.size, "git_sha1": file.blob_id}


def _fetch(api, repo, name, commit, expected, revision):
    """Downloads one file unless a sound copy is cached; returns its path."""
    cached = os.path.join(_storage(repo), "snapshots", commit, name)
    if os.path.lexists(cached) and not _is_sound(cached, expected):
        _remove(cached)
    try:
        path = api.hf_hub_download(repo, name, revision=commit, cache_dir=_cache())
    except Exception as error:
        # The hub has just answered, so a transport error here is a line that broke.
        cut = "Consistency check failed" in str(error)
        if cut or (is_unreachable(error) and status(cause(error)) is None):
            raise PresetError(
                f"The download of {name} of hf://{repo} broke off before its end; nothing of it "
                "was kept, so run the same again."
            ) from error
        raise explain(error, repo, revision, endpoint=endpoint(), doing="download") from error
    if not _is_sound(path, expected):
        size = os.path.getsize(path)
        _remove(path)
        raise PresetError(
            f"{name} of hf://{repo} arrived corrupt ({size} bytes, expected {expected['size']} "
            "with another checksum) and was removed from the cache; run the same again, and if "
            "it comes back, tell the owner of the repository."
        )
    return path


def _is_sound(path, expected):
    """Whether a file has the size and the checksum that the hub stated."""
    if not os.path.isfile(path) or os.path.getsize(path) != expected["size"]:
        return False
    if expected.get("sha256"):
        digest, wanted = hashlib.sha256(), expected["sha256"]
    elif expected.get("git_sha1"):
        digest = hashlib.sha1(b"blob %d\0" % expected["size"], usedforsecurity=False)
        wanted = expected["git_sha1"]
    else:
        return True
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest() == wanted


def _remove(path):
    """Removes a cached file: the snapshot's link and the blob it leads to.

    Deleting the link alone would leave the bad blob, which the client links again.
    """
    root = os.path.realpath(_cache()) + os.sep
    chain = [path]
    while os.path.islink(chain[-1]):
        target = os.path.join(os.path.dirname(chain[-1]), os.readlink(chain[-1]))
        chain.append(os.path.normpath(target))
    for entry in chain:
        if os.path.realpath(os.path.dirname(entry)).startswith(root):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry)
    with contextlib.suppress(OSError):  # the snapshot's folder, when that was its last file
        os.rmdir(os.path.dirname(path))


def _cached(repo, revision):
    """The folder noted for this revision if every file is there and sound, else None.

    Raises:
        PresetError: a file of the cached preset is damaged; it is removed.
    """
    note_path = _note(repo, revision)
    if not os.path.exists(note_path):
        return None
    note = read_json(note_path)
    folder = os.path.join(_storage(repo), "snapshots", str(note.get("commit")))
    for name, expected in (note.get("files") or {}).items():
        path = os.path.join(folder, name)
        if not os.path.lexists(path):
            return None
        if not _is_sound(path, expected):
            _remove(path)
            raise PresetError(
                f"{name} of hf://{repo} is damaged in the cache and was removed, and the hub at "
                f"{endpoint()} can't be reached for a new copy; run the same again once it can."
            )
    return folder if os.path.isdir(folder) else None


def _raise_offline(repo, revision):
    where = f"hf://{repo}" + (f"@{revision}" if revision else "")
    raise PresetError(
        f"HF_HUB_OFFLINE is set and {where} is not complete in the cache {_cache()}; load it once "
        f"with a connection ({OFFLINE_ADVICE})."
    )


def _offline():
    from huggingface_hub import constants

    value = os.environ.get("HF_HUB_OFFLINE", "")
    return constants.HF_HUB_OFFLINE or value.upper() in ("1", "ON", "YES", "TRUE")


def _cache():
    """The client's cache folder, by the environment of now and not of its import."""
    from huggingface_hub import constants

    home = os.environ.get("HF_HOME")
    folder = os.environ.get("HF_HUB_CACHE") or (home and os.path.join(home, "hub"))
    return os.path.abspath(os.path.expanduser(folder or constants.HF_HUB_CACHE))


def _storage(repo):
    return os.path.join(_cache(), "models--" + repo.replace("/", "--"))


def _note(repo, revision):
    """Where the verified state of a revision is written: beside the client's own records."""
    name = urllib.parse.quote(revision or "main", safe="")
    return os.path.join(_storage(repo), "keras_vssl", f"{name}.json")
