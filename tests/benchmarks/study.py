"""A study of 27 cells beside its cells run one by one, and what the first job of a worker costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from harness import Row, progress, seconds
from parts import RECIPES

from cliffkit.components.load import load_plugins
from cliffkit.jobs.execute import Means, run_job
from cliffkit.jobs.plan import plan
from cliffkit.jobs.worker import JobTask, do_job
from cliffkit.recipe.check import load_recipe
from cliffkit.store.store import Store
from cliffkit.study.cells import Cell, plan_cells
from cliffkit.study.check import load_study
from cliffkit.training.device import open_device
from cliffkit_executors.local import Local

STUDY = f"""\
name: grid
base: {RECIPES / "handbuilt_cliff_hegR.yaml"}
seeds: [0, 1, 2]
axes:
  embedding: {{none: {{embedding: {{use: none}}}}, heg_s: {{embedding: {{use: heg_s}}}}, heg_r: {{}}}}
  fusion: {{cliff: {{}}, add: {{model.fusion: {{use: add}}}}, concat: {{model.fusion: {{use: concat}}}}}}
"""
TINY = ("data.size=[32,32]", "data.train=8", "data.val=4", "data.test=4")


def rows() -> list[Row]:
    """The workers' start, then some half hour for the studies."""
    return [workers(), whole()]


def whole() -> Row:
    """Every cell of the study; and the cells of its first seed each by `cliffkit run` in an empty store."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(STUDY, encoding="utf-8")
        study = load_study(path, load_plugins(strict=True).registry)
        cells = plan_cells(study, {})
        progress(f"a study of {len(cells)} cells")
        together = seconds(lambda: cliffkit("ablate", str(path), "--runs", f"{folder}/runs"))
    alone = {}
    for cell in cells:
        if cell.seed == study.seeds[0]:
            alone[cell.variant.name] = seconds(lambda cell=cell: run_alone(cell))
            progress(f"{cell.name}: {alone[cell.variant.name]:.0f} s alone")
    apart = len(study.seeds) * sum(alone.values())
    figures = f"{together:.0f} against {len(study.seeds)} x {sum(alone.values()):.0f} s, seeds taken to take equal time"
    what = f"a study of {len(cells)} cells, the hand-built encoder at 48x64"
    return Row(
        what,
        "its cells by `cliffkit run` in empty stores",
        together / apart,
        (together / apart,) * 2,
        "<= 0.4",
        figures,
    )


def run_alone(cell: Cell) -> None:
    """One cell as a run of its own."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(cell.recipe.to_yaml(), encoding="utf-8")
        cliffkit("run", str(path), "--runs", folder)


def cliffkit(*arguments: str) -> None:
    """The command line in a process of its own."""
    subprocess.run([sys.executable, "-m", "cliffkit", *arguments], check=True, capture_output=True)


def workers() -> Row:
    """A worker's first job and those after it, of a stage that is done already: all but the job itself."""
    progress("a worker's first job")
    registry = load_plugins(strict=True).registry
    loaded = load_recipe(RECIPES / "handbuilt_cliff_hegR.yaml", registry, TINY)
    job = plan(loaded, {})[0]
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        run_job(job, Means(store, open_device("cpu"), {}, lambda event: None))
        starts = [in_a_row(JobTask(job, store.root, {})) for _ in range(3)]
    first, later = (median(start[k] for start in starts) for k in (0, 1))
    figures = f"{1e3 * later:.2g} against {1e3 * first:.0f} ms"
    spread = (later / first, later / first)
    return Row("start of a job in a worker, its second and later", "its first", spread[0], spread, "<= 0.05", figures)


def in_a_row(task: JobTask) -> tuple[float, float]:
    """Seconds of a fresh worker's first job, and the median of its next five."""
    executor = Local(1, "cpu")
    first, *later = (seconds(lambda: executor.submit(do_job, task).result()) for _ in range(6))
    executor.close()
    return first, median(later)
