"""Processes that may hang or crash, of which only the file at hand is lost: JSON lines both ways."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time

from keras_vssl.data.frame_index import ReadError

# A worker ends a slow decode by itself; only one stuck inside the decoder is killed, this many
# seconds later. Starting a worker on a busy machine must not count against the file.
_GRACE = 1.0
_START_UP = 60.0
# Address space a worker may take, in bytes: a file that announces more memory than that costs
# itself, not the machine.
_MEMORY = 8 << 30


class Worker:
    """A process that answers requests about files with `serve`, started when needed.

    Args:
        module: str, what it runs.
    """

    def __init__(self, module):
        self._module, self._process, self._rest = module, None, b""

    def ask(self, request, timeout):
        """The answer to a request, a dict.

        Args:
            request: dict that JSON can hold; its "path" is the file in question.
            timeout: float, seconds until the answer, or from one sign of life to the next.

        Raises:
            ReadError: the time is over, or the process crashed; the next request starts another.
        """
        path = request["path"]
        if self._process is None:
            self._start(path)
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise ReadError(path, self._obituary()) from None
        while True:
            line = self._read_line(timeout + _GRACE)
            if line is None:
                self.stop()
                raise ReadError(path, f"timed out after {timeout:g} s")
            if not line:
                raise ReadError(path, self._obituary())
            answer = json.loads(line)
            if answer is not None:
                return answer

    def _start(self, path):
        package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._rest = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders chatter there
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        if not self._read_line(_START_UP):
            self.stop()
            name = self._module.rpartition(".")[2].replace("_", " ")
            reason = f"the {name} did not start; check that `import av` works in a new process"
            raise ReadError(path, reason)

    def _read_line(self, seconds):
        """The next line; b"" when the process has ended, None when the time is over."""
        deadline, out = time.monotonic() + seconds, self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    return None
                piece = os.read(out.fileno(), 65536)
                if not piece:
                    return b""
                self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line + b"\n"

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


def serve(answer):
    """The main function of a worker: says ready, then answers until standard input ends.

    Args:
        answer: callable(request, alive) giving the answer, a dict that JSON can hold. It calls
            `alive()` where it takes longer than the time limit and is still getting on.
    """
    # Whatever a library prints must not end up between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash must not leave a core file
    except (ImportError, ValueError, OSError):
        pass  # Windows has no limits, and some systems allow none to be set
    import keras_vssl.data.reader  # noqa: F401  (importing av must not count against a file)

    def say(line):
        print(line, file=answers, flush=True)

    say("ready")
    for line in sys.stdin:
        say(json.dumps(answer(json.loads(line), lambda: say("null"))))
