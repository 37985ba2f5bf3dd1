"""The notebook runs top to bottom."""

import pathlib

import nbformat
from nbclient import NotebookClient

NOTEBOOK = pathlib.Path(__file__).parents[1] / "examples" / "folder_to_representation.ipynb"


def test_the_notebook_runs_top_to_bottom_on_the_motion_world(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_VSSL_QUICK", "1")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    monkeypatch.setenv("KERAS_VSSL_CACHE", str(tmp_path / "cache"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    text = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ())
    )
    assert "same predictions: True" in text
    assert "pre-trained {1: " in text
    assert (tmp_path / "my_classifier" / "task.weights.h5").is_file()


def test_the_notebook_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells and all(not cell.outputs and cell.execution_count is None for cell in cells)
