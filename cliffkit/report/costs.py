"""The cost of cells, and the environments in which they were trained."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from cliffkit.report.sentences import between
from cliffkit.report.wording import NOTHING, listed
from cliffkit.study.results import CellResult, Results
from cliffkit.text import duration


def costs(results: Results) -> dict[str, Any]:
    """Tabulate parameters and time per variant, means over its seeds."""
    done = [cell for cell in results.cells if cell.seconds is not None]
    stages = list(dict.fromkeys(stage for cell in done for stage in cell.seconds or ()))
    rows = []
    for variant in results.study.variants:
        cells = [cell for cell in results.of(variant) if cell.seconds is not None]
        if not cells:
            continue
        seconds = {
            stage: fmean(cell.seconds[stage] for cell in cells if cell.seconds and stage in cell.seconds)
            for stage in stages
            if any(cell.seconds and stage in cell.seconds for cell in cells)
        }
        counts = {cell.scores.parameters for cell in cells if cell.scores}
        parameters = sorted(count for count in counts if count is not None)
        smaller = sorted({cell.micro_batch for cell in cells if cell.micro_batch is not None})
        rows.append(
            {
                "name": variant.name,
                "parameters": ", ".join(f"{count:,}" for count in parameters),
                "seconds": [duration(seconds[stage]) if stage in seconds else NOTHING for stage in stages],
                "sort": [round(seconds.get(stage, 0), 3) for stage in stages],
                "total": duration(sum(seconds.values())),
                "total_s": round(sum(seconds.values()), 3),
                "note": "; ".join(
                    [
                        *([f"micro-batch {', '.join(map(str, smaller))}: memory held no more"] if smaller else []),
                        *_generators(cells),
                        *_divisors(cells),
                    ]
                ),
            }
        )
    return {"stages": stages, "rows": rows, "noted": any(row["note"] for row in rows)}


def _generators(cells: Sequence[CellResult]) -> list[str]:
    """Say how well the embedding generators of a variant's cells know scene types; nothing where they learn none."""
    facts = [fact for cell in cells if (fact := cell.generator) is not None and fact.right is not None]
    if not facts:
        return []
    worst, best = min(facts, key=lambda fact: fact.right or 0), max(facts, key=lambda fact: fact.right or 0)
    text = worst.describe() + (": hardly better than chance" if worst.near_chance() else "")
    if worst.right != best.right:
        text += f" (by the worst of the seeds' generators; {100 * (best.right or 0):.3g} % by the best)"
    return [text]


def _divisors(cells: Sequence[CellResult]) -> list[str]:
    """Say by what the levels of the embedding loss of a variant's cells were divided; nothing where they were not.

    Each level's divisor is a range where cells have generators of their own.
    """
    divisors = [cell.scores.divisors for cell in cells if cell.scores and cell.scores.divisors]
    ranges = [between(f"{min(level):.3g}", f"{max(level):.3g}") for level in zip(*divisors, strict=True)]
    return [f"levels of the embedding divided by {', '.join(ranges)}"] if ranges else []


def environments(results: Results) -> dict[str, Any]:
    """Describe the environments in which cells were trained: what is common to them, and where they differ.

    A distribution that only some cells compute with is no difference, as long as these cells have one version of it.
    """
    flat = {result.cell.name: result.environment for result in results.cells if result.environment is not None}
    names = list(dict.fromkeys(name for facts in flat.values() for name in facts))
    common, differing = [], []
    for name in names:
        who: dict[str, list[str]] = {}
        for cell, facts in flat.items():
            if name in facts:
                who.setdefault(facts[name], []).append(cell)
        if len(who) == 1:
            common.append((name, *who))
        else:
            differing.append((name, [(value, len(cells), listed(cells, 4)) for value, cells in who.items()]))
    return {"common": common, "differing": differing}
