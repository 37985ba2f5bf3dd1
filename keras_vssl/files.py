"""Files that are whole or absent: temporary name, fsync, rename."""

import contextlib
import json
import os
import shutil
import tempfile

_UNFINISHED = set()  # folders that an `atomic_folder` is filling right now


def write_atomic(path, data):
    """Writes `data` so that `path` holds either its old content or all of the new.

    Args:
        path: str or path-like. Its folder is created if absent.
        data: bytes or str (UTF-8).
    """
    if isinstance(data, str):
        data = data.encode("utf-8")
    with atomic_file(path) as part, open(part, "wb") as file:
        file.write(data)


def write_json_atomic(path, value):
    """Writes `value` as indented JSON through `write_atomic`."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False) + "\n")


@contextlib.contextmanager
def atomic_file(path):
    """A temporary name to write a large file to, given the name `path` when the block succeeds.

    A file already at `path` is replaced, and only after the new one is complete on disk. When the
    block raises, `path` is as it was.

    Example:

    ```python
    with atomic_file("video.mp4") as part:
        encode(frames, part)
    ```
    """
    path = os.path.abspath(os.fspath(path))
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
    os.close(handle)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


@contextlib.contextmanager
def atomic_folder(path):
    """A new folder under a temporary name, given the name `path` when the block succeeds.

    A folder already at `path` is replaced, and only after the new one is complete on disk.
    When the block raises, `path` is as it was. Inside the block the temporary folder may be given
    to `atomic_folder` again (a task that saves its backbone): it is then simply filled.

    Example:

    ```python
    with atomic_folder("preset") as folder:
        backbone.save_to_preset(folder)
    ```
    """
    path = os.path.abspath(os.fspath(path))
    if os.path.exists(path) and not os.path.isdir(path):
        raise ValueError(
            f"Expected a folder name to write to, but {path} is a file; choose another."
        )
    if path in _UNFINISHED:
        yield path
        return
    parent = os.path.dirname(path)
    os.makedirs(parent, exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=f".{os.path.basename(path)}.", dir=parent)
    os.chmod(temporary, 0o777 & ~_umask())
    _UNFINISHED.add(temporary)
    try:
        yield temporary
        for root, _, names in os.walk(temporary):
            for name in names:
                with open(os.path.join(root, name), "rb") as file:
                    os.fsync(file.fileno())
        old = None
        if os.path.isdir(path):
            old = tempfile.mkdtemp(prefix=f".{os.path.basename(path)}.old.", dir=parent)
            os.replace(path, os.path.join(old, "folder"))
        os.replace(temporary, path)
        if old:
            shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        _UNFINISHED.discard(temporary)
    _sync_folder(parent)


class ArrayFile:
    """An .npy file of float32 that grows row by row; whole or absent.

    Args:
        path: str or path-like, ends in .npy.

    Example:

    ```python
    with ArrayFile("features.npy") as file:
        for row in rows:  # float arrays of one shape
            file.append(row)
    ```
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        if not self.path.endswith(".npy"):
            raise ValueError(f"Expected a file name that ends in .npy, received {self.path}.")
        self.count, self.shape = 0, None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            part = stack.enter_context(atomic_file(self.path))
            self._file = stack.enter_context(open(part, "wb"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None and self.shape is not None:
                self._file.seek(0)
                self._write_header()
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        return self._stack.__exit__(kind, error, trace)

    def append(self, row):
        """Adds one row.

        Raises:
            ValueError: its shape is not that of the rows before.
        """
        import numpy as np

        row = np.ascontiguousarray(row, np.float32)
        if self.shape is None:
            self.shape = row.shape
            self._write_header()
        if row.shape != self.shape:
            raise ValueError(f"Expected a row of shape {self.shape}, received {row.shape}.")
        self._file.write(row.data)
        self.count += 1

    def _write_header(self):
        # NumPy leaves room for the first axis to grow, so that the header's length stays.
        import numpy as np

        described = {"descr": "<f4", "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self._file, described)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder):
    with contextlib.suppress(OSError):  # some file systems refuse to open folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
