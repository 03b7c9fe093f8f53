"""The notebooks of examples/ run from top to bottom, and show results as a reader is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from worlds.paths import ROOT

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (extra notebook)")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (extra test)")

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
FIGURE = "application/vnd.plotly.v1+json"
SAID = {
    "own_model": "iOS ends the app",  # the model whole
    "which_partition": "Memory peaks at",
    "which_phone": "Memory peaks at",
}
"""What the run says whose summary the notebook shows."""


def played(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The outputs of a notebook's cells, one after the other, out of a kernel of its own that works in a folder."""
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["own_model", "which_partition", "which_phone"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert {cell.execution_count for cell in code} == {None}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's own libraries
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_a_summary_frames_and_figures(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that a cell ends with shows its summary once, as the run's own output: rich prints nothing beside it."""
    outputs = played(path, tmp_path, monkeypatch)
    shown = [output.data for output in outputs if "data" in output]
    pages = [data["text/html"] for data in shown if "text/html" in data]
    assert sum(FIGURE in data for data in shown) >= 2
    assert sum("<table" in page for page in pages) >= 2
    assert sum("<pre>" in page for page in pages) == 1
    (summary,) = [page for page in pages if "<pre>" in page]
    assert "on iPhone" in summary and SAID[path.stem] in summary
    assert [output for output in outputs if output.get("name") == "stderr"] == []
