"""The process in which `probe_files` lets files be opened: JSON lines in, JSON lines out."""

import json
import os
import sys

from keras_vssl.data.probe import probe_file

# Address space a worker may take, in bytes: a file that announces more memory than that costs
# itself, not the machine.
_MEMORY = 8 << 30


def main():
    """Say ready, then answer requests until standard input ends."""
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

    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        info = probe_file(request["path"], decode=request["decode"], timeout=request["timeout"])
        print(json.dumps(info.to_dict()), file=answers, flush=True)


if __name__ == "__main__":
    main()
