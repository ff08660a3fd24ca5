"""What cells took, and with what they were trained."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from cliffkit.report.wording import NOTHING, listed
from cliffkit.store import artifacts
from cliffkit.study.board import duration
from cliffkit.study.results import Results


def costs(results: Results) -> dict[str, Any]:
    """Tabulate parameters and time per variant, means over its seeds."""
    done = [each for each in results.cells if each.seconds is not None]
    stages = list(dict.fromkeys(stage for each in done for stage in each.seconds or ()))
    rows = []
    for variant in results.study.variants:
        own = [each for each in results.of(variant) if each.seconds is not None]
        if not own:
            continue
        seconds = {
            stage: fmean(each.seconds[stage] for each in own if each.seconds and stage in each.seconds)
            for stage in stages
            if any(each.seconds and stage in each.seconds for each in own)
        }
        parameters = sorted({each.scores.parameters for each in own if each.scores})
        smaller = sorted({each.micro_batch for each in own if each.micro_batch is not None})
        rows.append(
            {
                "name": variant.name,
                "parameters": ", ".join(f"{count:,}" for count in parameters),
                "seconds": [duration(seconds[stage]) if stage in seconds else NOTHING for stage in stages],
                "sort": [round(seconds.get(stage, 0), 3) for stage in stages],
                "total": duration(sum(seconds.values())),
                "total_s": round(sum(seconds.values()), 3),
                "note": f"micro-batch {', '.join(map(str, smaller))}: memory held no more" if smaller else "",
            }
        )
    return {"stages": stages, "rows": rows, "noted": any(row["note"] for row in rows)}


def environments(results: Results) -> dict[str, Any]:
    """Say with what cells were trained: what is common to them, and where they differ.

    A distribution that only some cells compute with is no difference, as long as they have it in one version.
    """
    flat = {
        each.cell.name: {**_flat(each.environment), **each.versions}
        for each in results.cells
        if each.environment is not None
    }
    names = list(dict.fromkeys(name for each in flat.values() for name in each))
    common, differing = [], []
    for name in names:
        who: dict[str, list[str]] = {}
        for cell, each in flat.items():
            if name in each:
                who.setdefault(each[name], []).append(cell)
        if len(who) == 1:
            common.append((name, *who))
        else:
            differing.append((name, [(value, len(cells), listed(cells, 4)) for value, cells in who.items()]))
    return {"common": common, "differing": differing}


def _flat(environment: artifacts.Environment) -> dict[str, str]:
    found = {}
    for name, value in environment.to_dict().items():
        if isinstance(value, Mapping):
            found.update({str(key): str(inner) for key, inner in value.items()})
        elif isinstance(value, tuple):
            found[name] = "; ".join(map(str, value)) or "none"
        else:
            found[name] = str(value)
    return found
