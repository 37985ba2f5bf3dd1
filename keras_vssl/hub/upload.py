"""A preset published on the Hugging Face hub, in one commit with its model card."""

import io
import os
import tempfile

from keras_vssl.hub.card import MARKER, is_generated, model_card, write_card
from keras_vssl.hub.errors import PresetError, explain
from keras_vssl.hub.folder import CARD, check_config, check_files, is_known
from keras_vssl.hub.presets import local_folder
from keras_vssl.hub.remote import SCHEME, client, endpoint, parse_uri


def upload_preset(uri, folder, private=False, token=None, licence=None):
    """Publishes a preset on the Hugging Face hub.

    The repository is made if it is new. All files go in one commit, so that a reader finds the
    old preset or the new one; files of an older preset that the new one lacks are removed by
    it. A README.md with the results, data, recipe, versions, licence and citation of record.json
    is written into the folder and published, unless a person wrote one, here or on the hub.

    Args:
        uri: str, "hf://user/name".
        folder: str, a folder that `save_to_preset` wrote, or a run's folder.
        private: bool, whether only you can read the repository.
        token: str with write access, or `None` for HF_TOKEN or what `hf auth login` stored.
        licence: str, e.g. "apache-2.0"; `None` takes the record's.

    Returns:
        str, the address of the repository's page.

    Raises:
        PresetError: the folder is no complete preset, there is no token or the hub refuses it,
            the hub can't be reached, or `private` was asked for a repository that is public.

    Example:

    ```python
    task.save_to_preset("vcop_r3d_18")
    keras_vssl.upload_preset("hf://me/vcop_r3d_18", "vcop_r3d_18", licence="apache-2.0")
    ```
    """
    if not isinstance(uri, str) or not uri.startswith(SCHEME):
        raise PresetError(f"Presets are published at hf://user/name, got {uri!r}.")
    repo, revision = parse_uri(uri)
    if revision is not None:
        raise PresetError(
            f"A preset is published on the main branch, got the revision {revision!r}; leave "
            f"@{revision} out."
        )
    folder = os.path.expanduser(os.fspath(folder))
    if not os.path.isdir(folder):
        raise PresetError(f"Expected a preset's folder to publish, but {folder} is not a folder.")
    folder = local_folder(folder)
    check_config(folder)
    check_files(folder)

    import huggingface_hub

    if token is None and not huggingface_hub.get_token():
        raise PresetError(
            f"Publishing {uri} needs a token with write access and none was found; run `hf auth "
            "login`, set HF_TOKEN, or pass token=."
        )
    card = _card(folder, uri, licence)
    api = client(token)
    try:
        url = str(api.create_repo(repo, private=private, exist_ok=True))
        info = api.model_info(repo)
        if private and info.private is False:
            raise PresetError(
                f"private=True was asked, but {uri} exists and is public; make it private in its "
                f"settings ({url}/settings) or publish under a new name."
            )
        there = {file.rfilename for file in info.siblings or ()}
        if CARD in there and is_generated(card) and _hand_written(api, repo):
            card = None
        api.create_commit(
            repo, _operations(folder, card, there), commit_message="Upload a keras_vssl preset"
        )
    except PresetError:
        raise
    except Exception as error:
        raise explain(error, repo, endpoint=endpoint(), doing="upload") from error
    return url


def _card(folder, uri, licence):
    """The card to publish; written into the folder too, where that can be written."""
    try:
        return write_card(folder, name=uri, licence=licence)
    except OSError:
        return model_card(folder, name=uri, licence=licence)


def _hand_written(api, repo):
    """Whether the repository's card lacks the line that marks generated ones."""
    with tempfile.TemporaryDirectory() as cache:
        path = api.hf_hub_download(repo, CARD, cache_dir=cache)
        with open(path, encoding="utf-8", errors="replace") as file:
            return MARKER not in file.read()


def _operations(folder, card, there):
    """The commit: every file of the preset, the card, and the removal of what is out of date."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    names = sorted(
        name
        for name in os.listdir(folder)
        if is_known(name) and name != CARD and os.path.isfile(os.path.join(folder, name))
    )
    operations = [CommitOperationAdd(name, os.path.join(folder, name)) for name in names]
    if card is not None:
        operations.append(CommitOperationAdd(CARD, io.BytesIO(card.encode("utf-8"))))
    outdated = {name for name in there if is_known(name)} - {*names, CARD, "LICENSE"}
    return operations + [CommitOperationDelete(name) for name in sorted(outdated)]
