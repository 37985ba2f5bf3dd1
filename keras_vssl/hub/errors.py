"""The one error of presets, and the hub client's many errors said in one sentence."""


class PresetError(ValueError):
    """A preset can't be found, fetched, trusted or published; the message says what to do."""


OFFLINE_ADVICE = (
    "a preset that was loaded once stays in the cache and needs no network, and those that "
    "`keras-vssl presets` lists as trained are part of the package"
)


def cause(error):
    """The innermost error that says why, below the client's generic wrappers.

    Upload threads wrap in RuntimeError, and a failed HEAD request comes as "entry not found in
    the local cache" with the connection error as its cause.
    """
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    while error.__cause__ is not None and not isinstance(error, HfHubHTTPError):
        if not isinstance(error, (LocalEntryNotFoundError, RuntimeError, ValueError)):
            break
        error = error.__cause__
    return error


def status(error):
    """The HTTP status an error carries, or None."""
    return getattr(getattr(error, "response", None), "status_code", None)


def is_unreachable(error):
    """Whether the hub did not answer at all, or answered that it is out of order."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    error = cause(error)
    if status(error) is not None:
        return status(error) >= 500
    if isinstance(error, (OfflineModeIsEnabled, ConnectionError, TimeoutError)):
        return True
    # The client has changed its HTTP library twice (requests, httpx, httpx2); their transport
    # errors share no base class but live in modules of these names.
    libraries = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"}
    return any(kind.__module__.split(".")[0] in libraries for kind in type(error).__mro__)


def explain(error, repo, revision=None, *, endpoint, doing):
    """Turns an error of huggingface_hub into a `PresetError`.

    Args:
        error: the exception.
        repo: str, "user/name".
        revision: str or None, the branch, tag or commit asked for.
        endpoint: str, the hub's address.
        doing: "download" or "upload".

    Returns:
        A `PresetError` of one sentence; raise it from `error`.
    """
    from huggingface_hub import errors

    error = cause(error)
    code = status(error)
    message = str(
        getattr(error, "response", None) and error.response.headers.get("X-Error-Message")
    )
    where = f"hf://{repo}" + (f"@{revision}" if revision else "")
    login = "log in with `hf auth login`, set HF_TOKEN, or pass token="
    if isinstance(error, errors.LocalTokenNotFoundError):
        text = f"The hub wants a token to {doing} {where} and none was found; {login}."
    elif isinstance(error, errors.OfflineModeIsEnabled):
        text = (
            f"HF_HUB_OFFLINE is set, so {where} can't be reached ({doing}); unset it, or use a "
            f"cached preset: {OFFLINE_ADVICE}."
        )
    elif isinstance(error, errors.RevisionNotFoundError):
        text = (
            f"hf://{repo} has no revision {revision!r}; leave @{revision} out to get the newest, "
            f"or look at {endpoint}/{repo}/commits/main."
        )
    elif isinstance(error, errors.GatedRepoError):
        text = f"{where} is gated; accept its conditions at {endpoint}/{repo} and then {login}."
    elif code == 401 and ("Invalid credentials" in message or doing == "upload"):
        text = (
            f"The hub at {endpoint} did not accept the token ({doing} of {where}: HTTP 401); "
            f"{login} with a valid one (a public preset also loads without any token)."
        )
    elif isinstance(error, errors.RepositoryNotFoundError) or code == 401:
        text = (
            f"The hub at {endpoint} has no model repository {repo}, or it is private and your "
            f"token does not open it; check the spelling of {where}, or {login}."
        )
    elif code == 403:
        text = (
            f"The token may not {doing} {where} (HTTP 403); use a token with write access to "
            f"{repo.split('/')[0]}."
        )
    elif code == 429:
        text = f"The hub at {endpoint} asks to slow down (HTTP 429); {doing} {where} again later."
    elif code is not None and code >= 500:
        text = (
            f"The hub at {endpoint} is out of order (HTTP {code}) and could not {doing} {where}; "
            f"try again later ({OFFLINE_ADVICE})."
        )
    elif code is not None:
        text = f"The hub at {endpoint} refused to {doing} {where}: HTTP {code}, {_line(error)}."
    elif is_unreachable(error):
        text = (
            f"The hub at {endpoint} can't be reached to {doing} {where} ({_line(error)}); check "
            f"the connection, a proxy and HF_ENDPOINT ({OFFLINE_ADVICE})."
        )
    elif isinstance(error, OSError) and error.strerror:
        text = (
            f"Could not {doing} {where}: {error.strerror} ({error.filename}); free the disk, or "
            "point HF_HOME at a folder that can be written."
        )
    else:
        text = f"Could not {doing} {where}: {_line(error)}; try again."
    return PresetError(text)


def _line(error):
    """An error's first line, without the full stop that the sentence around it brings."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
