"""What files hold: one in this process, many in worker processes that may hang or crash."""

import concurrent.futures
import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import time

from keras_vssl.data.frame_index import ReadError, VideoInfo

# A worker ends a slow decode by itself; only one stuck inside the decoder is killed, this many
# seconds later. Starting a worker on a busy machine must not count against the file.
_GRACE = 1.0
_START_UP = 60.0


def probe_file(path, decode=True, threads=1, timeout=20.0):
    """Find out what a file holds, in this process. Bad media never raise.

    Args:
        path: str or path-like.
        decode: bool; True decodes every frame, so damage is found; False lists the packets
            and decodes the first frames.
        threads: int, decoding threads.
        timeout: float, seconds for opening and again for decoding.

    Returns:
        VideoInfo; `decodable` and `error` say what is wrong.

    Example:

    ```python
    info = probe_file("clip.mp4")
    print(info.frames, info.fps, info.decodable)
    ```
    """
    from keras_vssl.data.reader import VideoReader  # imports av

    path = os.fspath(path)
    try:
        with VideoReader(path, threads, timeout) as reader:
            return reader.verify() if decode and reader.info.frames else reader.info
    except ReadError as error:
        return VideoInfo(path, error=error.reason)
    except MemoryError:
        return VideoInfo(path, error="decoding takes more memory than there is")
    except Exception as error:  # whatever a decoder comes up with costs this file only
        return VideoInfo(path, error=f"{type(error).__name__}: {error}")


def probe_files(paths, workers=None, timeout=10.0, decode=False, progress=None):
    """Find out what many files hold. A file that hangs or crashes the decoder costs itself only.

    Args:
        paths: sequence of str or path-like.
        workers: int, worker processes; None: one a processor, 8 at most.
        timeout: float, seconds a file may take.
        decode: bool, as in `probe_file`.
        progress: callable(done, total), called after each file, or None.

    Returns:
        List of VideoInfo in the order of `paths`.
    """
    paths = [os.fspath(path) for path in paths]
    total, infos = len(paths), [None] * len(paths)
    if workers is None:
        workers = min(os.cpu_count() or 1, 8)
    if workers < 1 or timeout <= 0:
        raise ValueError(
            f"Expected workers of 1 or more and a positive timeout, received workers={workers} "
            f"and timeout={timeout}."
        )
    idle = queue.SimpleQueue()
    pool = [_Worker() for _ in range(min(workers, total))]
    for worker in pool:
        idle.put(worker)

    def probe(path):
        worker = idle.get()
        try:
            return worker.probe(path, decode, timeout)
        finally:
            idle.put(worker)

    executor = concurrent.futures.ThreadPoolExecutor(max(len(pool), 1))
    try:
        futures = {executor.submit(probe, path): i for i, path in enumerate(paths)}
        for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
            infos[futures[future]] = future.result()
            if progress is not None:
                progress(done, total)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        for worker in pool:
            worker.stop()
    return infos


class _Worker:
    """A `probe_worker` process, started when needed: a line of JSON in, a line out."""

    def __init__(self):
        self._process = None

    def probe(self, path, decode, timeout):
        """VideoInfo of one file."""
        if self._process is None:
            failure = self._start()
            if failure:
                return VideoInfo(path, error=failure)
        request = {"path": path, "decode": decode, "timeout": timeout}
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return VideoInfo(path, error=self._obituary())
        line = self._read_line(timeout + _GRACE)
        if line is None:
            self.stop()
            return VideoInfo(path, error=f"timed out after {timeout:g} s")
        if not line:
            return VideoInfo(path, error=self._obituary())
        return VideoInfo(**json.loads(line))

    def _start(self):
        package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "keras_vssl.data.probe_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders chatter there
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        if self._read_line(_START_UP):
            return None
        self.stop()
        return "the probe worker did not start; check that `import av` works in a new process"

    def _read_line(self, seconds):
        """The next line; b"" when the process has ended, None when the time is over."""
        deadline, line, out = time.monotonic() + seconds, b"", self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    return None
                piece = os.read(out.fileno(), 65536)
                if not piece:
                    return b""
                line += piece
        return line

    def _obituary(self):
        """Why the process ended, which it did by itself."""
        process = self._process
        try:
            status = process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            status = 0
        self.stop()
        if status < 0:
            return f"the decoder crashed ({signal.Signals(-status).name})"
        return f"the decoder crashed (exit status {status})"

    def stop(self):
        """End the process, at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
