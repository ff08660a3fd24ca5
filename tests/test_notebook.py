"""The example notebook is executed: what it holds is what its cells give.

`python tests/test_notebook.py` executes it anew and keeps the outputs.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "first_study.ipynb"


def execute(folder: Path) -> Any:
    """The notebook with the outputs that its cells give in a folder."""
    notebook = nbformat.read(NOTEBOOK, 4)
    where = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> list[list[str]]:
    """What kinds of results a cell shows, progress aside."""
    shown = [output.data for output in cell.outputs if "data" in output]
    return [sorted(data) for data in shown if set(data) & {"image/png", "image/jpeg"} or "text/html" not in data]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return execute(tmp_path_factory.mktemp("notebook"))


def test_its_outputs_are_those_of_its_cells(executed: Any) -> None:
    kept = nbformat.read(NOTEBOOK, 4)
    assert [cell.execution_count for cell in code(kept)] == list(range(1, 1 + len(code(kept))))
    for own, new in zip(code(kept), code(executed), strict=True):
        assert kinds(own) == kinds(new), own.source
    assert not [output for cell in code(kept) for output in cell.outputs if output.get("name") == "stderr"]


def test_shows_a_run_a_study_and_a_prediction(executed: Any) -> None:
    said = "".join(
        output.data.get("text/plain", "") for cell in code(executed) for output in cell.outputs if "data" in output
    )
    for words in ("'network': ", "'constant': ", "rooms/test/", "'add': 'reference'", "report.html", "(300, 256)"):
        assert words in said
    pictures = [set(output.get("data", ())) for cell in code(executed) for output in cell.outputs]
    assert sum("image/jpeg" in each or "image/png" in each for each in pictures) == 2


def test_shows_progress_as_bars(executed: Any) -> None:
    """By rich, in the output of a widget."""
    state = executed.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    shown = json.dumps([each["state"].get("outputs", []) for each in state])
    for stage in ("pack", "images", "embedding", "depth", "evaluate"):
        assert f"{stage} " in shown
    assert "40/40" in shown


def test_holds_no_path_of_the_machine_that_made_it() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not [folder for folder in (str(Path.home()), tempfile.gettempdir(), "site-packages") if folder in text]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        nbformat.write(execute(Path(scratch)), NOTEBOOK)
