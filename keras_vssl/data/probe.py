"""What files hold: one in this process, many in worker processes that may hang or crash."""

import concurrent.futures
import os
import queue

from keras_vssl.data.frame_index import ReadError, VideoInfo
from keras_vssl.data.worker import Worker


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
    request = {"decode": decode, "timeout": timeout}
    idle = queue.SimpleQueue()
    pool = [Worker("keras_vssl.data.probe_worker") for _ in range(min(workers, total))]
    for worker in pool:
        idle.put(worker)

    def probe(path):
        worker = idle.get()
        try:
            return VideoInfo(**worker.ask({"path": path, **request}, timeout))
        except ReadError as error:
            return VideoInfo(path, error=error.reason)
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
