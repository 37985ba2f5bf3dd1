"""The process in which `probe_files` lets files be opened: JSON lines in, JSON lines out."""

from keras_vssl.data.probe import probe_file
from keras_vssl.data.worker import serve


def answer(request, alive):
    """The `VideoInfo` of the file that a request names, as a dict."""
    path, decode, timeout = request["path"], request["decode"], request["timeout"]
    return probe_file(path, decode=decode, timeout=timeout).to_dict()


if __name__ == "__main__":
    serve(answer)
