"""A report for other programs: CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from cliffkit.report.noise import noise_numbers
from cliffkit.report.where import COLUMNS, where_rows
from cliffkit.scoring.metrics import METRICS
from cliffkit.statistics import Variance, noise_of
from cliffkit.store.spreadsheet import guarded
from cliffkit.study.analysis import Analysis
from cliffkit.study.cells import Cell
from cliffkit.study.columns import CELL, IMAGE, RESULT
from cliffkit.study.results import CellResult, Results
from cliffkit.study.tuning import text_of


def results_csv(results: Results, path: Path) -> None:
    """One line per cell, protocol and metric; the values that a search chose stand behind the seed."""
    tuned = list(results.study.tuning.grid) if results.study.tuning is not None else []
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_cell_head(results), *map(guarded, tuned), *RESULT])
        for result in results.cells:
            choice = result.cell.choice if isinstance(result.cell, Cell) else None
            values = choice.chosen.values if choice is not None and choice.chosen is not None else {}
            start = [*_cell(result), *(guarded(text_of(values[path])) if path in values else "" for path in tuned)]
            for protocol in results.protocols:
                known = result.scores.protocols.get(protocol.name) if result.scores is not None else None
                scored = known.metrics if known is not None else {}
                state = "failed" if result.scores is not None and known is None else result.state
                for metric in METRICS:
                    value = repr(scored[metric]) if scored else ""
                    writer.writerow([*start, guarded(protocol.name), metric, value, scored.get("n", ""), state])


def per_image_csv(results: Results, path: Path) -> None:
    """One line per cell that is done, protocol and image."""
    order = {variant.levels: i for i, variant in enumerate(results.study.variants)}
    seeds = {seed: i for i, seed in enumerate(results.study.seeds)}
    images = [_csv_line([guarded(name)]) for name in results.images]
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        file.write(_csv_line([*_cell_head(results), *IMAGE]) + "\n")
        for result in results.cells:
            if result.state != "done":
                continue
            place = order[result.cell.variant.levels], seeds[result.cell.seed]
            for name, scores in results.scores.items():
                start = _csv_line([*_cell(result), guarded(name)])
                # By hand: a million lines through csv.writer would take half a minute.
                rows = (",".join(map(repr, row)).replace("nan", "") for row in scores[place].tolist())
                file.writelines(f"{start},{image},{row}\n" for image, row in zip(images, rows, strict=True))


def noise_csv(analysis: Analysis, path: Path) -> None:
    """One line per protocol, metric and variant whose difference was measured under two seeds and on two images."""
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["protocol", "metric", "variant", "seeds", "images", *_NOISE])
        for table in analysis.tables.values():
            for row in table.rows:
                noise = noise_of(row.difference)
                if noise is not None:
                    start = guarded(table.protocol), table.metric, guarded(row.variant.name), noise.seeds, noise.images
                    numbers = {**_variances(noise.variance), **noise_numbers(noise)}
                    writer.writerow([*start, *("" if numbers[name] is None else numbers[name] for name in _NOISE)])


def _variances(variance: Variance) -> dict[str, float]:
    return {"seed_variance": variance.seeds, "image_variance": variance.images, "rest_variance": variance.rest}


_NOISE = (
    *("seed_variance", "image_variance", "rest_variance"),
    *("seeds_share", "images_share", "rest_share", "seeds_to_halve", "images_to_halve"),
)


def where_csv(analysis: Analysis, path: Path) -> None:
    """One line per region and variant, in the study's metric and protocol."""
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in where_rows(analysis.where):
            cells = [guarded(value) if isinstance(value, str) else value for value in row.values()]
            writer.writerow(["" if cell is None else cell for cell in cells])


def _cell_head(results: Results) -> list[str]:
    variant, seed = CELL
    return [variant, *map(guarded, results.study.axes), seed]


def _cell(result: CellResult) -> list[str]:
    variant = result.cell.variant
    return [guarded(variant.name), *map(guarded, variant.levels), str(result.cell.own_seed)]


def _csv_line(fields: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
