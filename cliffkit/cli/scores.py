"""A run's scores, for people and for scripts."""

from __future__ import annotations

import json
from typing import Any

from accelerate import PartialState
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cliffkit.cli.echo import echo
from cliffkit.scoring.metrics import HIGHER_IS_BETTER, METRICS, UNITS
from cliffkit.store.artifacts import Scores
from cliffkit.text import printable
from cliffkit.verbs.finished import Run

HIDDEN = ("use", "test_fingerprint")


def console() -> Console:
    """Stdout; wide enough for a table where it is no terminal."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=200)


def print_run(finished: Run, as_json: bool) -> None:
    """Print a run's scores and its folder, or one JSON object. Of several processes only the first prints."""
    if not PartialState().is_main_process:
        return
    if as_json:
        echo(json.dumps(run_json(finished)))
        return
    if len(finished.reused) == len(finished.record.jobs):
        echo("Nothing to do: every stage of this recipe is in the store.", err=True)
    print_scores(finished.record, finished.record.name)
    print_data(finished.record, "training")
    scored = finished.record.protocols.items()
    if weak := [name for name, own in scored if not own.metrics["abs_rel"] < own.baseline["abs_rel"]]:
        echo(printable(f"no better than that constant in abs_rel under {', '.join(weak)}; train longer"))
    chosen = finished.record.selection
    assert chosen is not None, "a run has chosen its weights"
    echo(f"weights: best {chosen.score} on {chosen.split} ({chosen.best_score:.4f}) at step {chosen.step}")
    echo(f"panel:   {finished.panel}")
    echo(f"run:     {finished.folder}")


def run_json(finished: Run) -> dict[str, Any]:
    """Give the object that `--json` prints."""
    record = finished.record
    return {
        "run": str(finished.folder),
        "name": record.name,
        "key": record.key,
        "metrics": record.metrics,
        "baseline": record.baseline,
        "failures": record.failures,
        "seconds": record.seconds,
        "reused": list(finished.reused),
    }


def print_scores(record: Scores, name: str) -> None:
    """Each protocol in words, then the scores of the predictions over the constant median's; then what failed."""
    out = console()
    for scored in record.protocols.values():
        out.print(printable(f"\n{scored.described}"), highlight=False, markup=False)
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        extras = [(extra.name, extra.unit, extra.higher_is_better) for extra in scored.protocol.metrics]
        nine = [(metric, UNITS[metric], metric in HIGHER_IS_BETTER) for metric in METRICS]
        for metric, measure, higher in (*nine, *extras):
            unit = f" [{measure}]" if measure else ""
            arrow = "↑" if higher else "↓"
            table.add_column(f"{metric}{unit} {arrow}".replace("[", "\\["), justify="right")
        table.add_column("images", justify="right")
        for label, row in ((name, scored.metrics), ("constant median", scored.baseline)):
            absent = f" (+{row['absent']:.0f} absent)" if row["absent"] else ""
            values = (row.get(metric) for metric, _, _ in (*nine, *extras))
            figures = ("-" if value is None else f"{value:.4f}" for value in values)
            table.add_row(escape(printable(label)), *figures, f"{row['n']:.0f}{absent}")
        out.print(table)
    for protocol, reason in record.failures.items():
        out.print(printable(f"\n{protocol} is not scored: {reason}"), highlight=False, markup=False)


def print_data(record: Scores, split: str) -> None:
    """Print the data set with its options, and the constant prediction, the median depth of a split."""
    out = console()
    options = ", ".join(f"{name} {value}" for name, value in record.data.items() if name not in HIDDEN)
    out.print(printable(f"data: {record.data['use']} ({options})"), highlight=False, markup=False)
    out.print(f"constant median: {record.baseline_depth_m:.3f} m, of the {split} depths", highlight=False)
