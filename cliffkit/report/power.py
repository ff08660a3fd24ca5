"""What a study can see, in words for the terminal and in plain types for `--json`."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from cliffkit.report.sentences import between, seen
from cliffkit.scoring.metrics import UNITS
from cliffkit.statistics import Design, Variance, detectable
from cliffkit.study.analysis import Row
from cliffkit.study.noise import summarise_noise
from cliffkit.study.power import ASSUMED, LIKE, OWN, Power, Sight
from cliffkit.study.results import Results

MARK = "this study"


def plan_lines(power: Power) -> list[str]:
    """Write what each number of seeds sees: a head, a line for each, where the noise is known from, the warning."""
    if not power.sights:
        return [f"power: {_source(power)}"]
    rows = [(f"{_seeds(sight)}", _size(power, sight), MARK if sight.own else "") for sight in power.sights]
    widths = [max(len(row[k]) for row in rows) for k in (0, 1)]
    head = f"power: the difference in {power.metric} under {power.protocol} that is seen four times in five"
    lines = [f"  {seeds:<{widths[0]}}  {size:<{widths[1]}}  {mark}".rstrip() for seeds, size, mark in rows]
    return [f"{head}, with {power.images} test images", *lines, f"  {_source(power)}", f"  {outlook(power)}"]


def outlook(power: Power) -> str:
    """Say in one sentence what the study's own seeds will not see, and whether the smallest of interest is among it."""
    own, smallest = power.own, power.smallest
    if own is None:
        return f"power: {_source(power)}"
    if math.isinf(own.low):
        return "one seed will see no difference between recipes: what differs may be the luck of training"
    seeds = f"{_seeds(own)} will not see less than {_write(power, own.low)} in {power.metric}"
    if smallest is None:
        return seeds
    wanted = f"the smallest difference of interest is {_write(power, smallest)}"
    if own.low > smallest:
        return f"warning: {seeds}, but {wanted}; plan more test images, seeds or steps"
    if own.high > smallest:
        return f"warning: {_seeds(own)} may not see it: {wanted}, and they see {_size(power, own)}; plan more seeds"
    return f"{seeds}; {wanted}, which they see"


def would_have_seen(results: Results, rows: Sequence[Row]) -> tuple[float, float] | None:
    """Give the smallest differences that comparisons find four times in five, the least and the largest of them.

    With adaptive seeds the study as it was designed is asked, at the mean noise of its differences. None where the
    noise is not known.
    """
    design, measured = results.study.adaptive, [row.difference for row in rows if row.difference is not None]
    sights = [seen(difference) for difference in measured if difference.seeds_measured and difference.images > 1]
    if design is not None and sights:
        noise = summarise_noise(results)
        sights = [] if noise is None else [_designed(noise.mean.variance, design, noise.mean.images)]
    return (min(sights), max(sights)) if sights else None


@functools.lru_cache(100)
def _designed(variance: Variance, design: Design, images: int) -> float:
    return detectable(variance, design, images)


def power_json(power: Power) -> dict[str, Any]:
    """Give the object that `--json` prints; null stands for what no number is known of."""

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "metric": power.metric,
        "protocol": power.protocol,
        "images": power.images,
        "smallest": power.smallest,
        "source": power.source,
        "like_study": power.study or None,
        "differences": power.differences,
        "detectable": [
            {
                "seeds": [sight.seeds.from_seeds, sight.seeds.to_seeds]
                if isinstance(sight.seeds, Design)
                else sight.seeds,
                "low": number(sight.low),
                "high": number(sight.high),
                "own": sight.own,
            }
            for sight in power.sights
        ],
        "outlook": outlook(power),
    }


def _source(power: Power) -> str:
    """Say where the noise is known from."""
    if power.images < 2:
        return "one test image says nothing about other images"
    count = f"{power.differences} difference{'s' * (power.differences != 1)}"
    if power.source == OWN:
        return f"by the noise of the cells that are done: {count} to the reference"
    if power.source == LIKE:
        return (
            f"by the noise of {count} in the study {power.study}: same data set, size, protocol, backbone and steps "
            "of the reference"
        )
    if power.source == ASSUMED:
        return "by an assumption, the noise that was measured on rooms: docs/why/statistics.md has it"
    return f"not known for {power.metric} before seeds are in: no cell is done, and no like study is in the runs folder"


def _seeds(sight: Sight) -> str:
    """Write a number of seeds."""
    if isinstance(sight.seeds, Design):
        return f"{sight.seeds.from_seeds} to {sight.seeds.to_seeds} seeds"
    return f"{sight.seeds} seed{'s' * (sight.seeds != 1)}"


def _size(power: Power, sight: Sight) -> str:
    """Write the smallest difference that is seen, as a range where the noise is one."""
    if math.isinf(sight.low):
        return "none"
    unit = UNITS[power.metric]
    return between(f"{sight.low:.2g}", f"{sight.high:.2g}") + (f" {unit}" if unit else "")


def _write(power: Power, value: float) -> str:
    """Write a difference with its unit."""
    unit = UNITS[power.metric]
    return f"{value:.2g}{f' {unit}' if unit else ''}"
