"""The seeds of a study: a list, every one of which is run, or a range whose seeds are run while they matter."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any

from cliffkit.components.near import near
from cliffkit.recipe.faults import Faults
from cliffkit.recipe.schema import MAX_SEED
from cliffkit.statistics import Design
from cliffkit.study.study import Variant
from cliffkit.text import excerpt

FROM, TO = "from", "to"
"""The keys of a range: seeds at the first look, and the greatest number of seeds."""

MOST_SEEDS = 100
"""Greatest number of seeds of a range. Its bounds take a second to compute."""

FEWEST_SEEDS = 2
"""Least number of seeds at the first look: one says nothing about recipes."""

STRIDE = 10_000
"""Distance of offsets that are tried for seeds that no cell of a study has."""


def check_seeds(faults: Faults, data: Any) -> tuple[tuple[int, ...], Design | None]:
    """Give the seeds that `seeds:` means, and the design by which a range of them is spent; None for a list."""
    if isinstance(data, Mapping):
        design = _range(faults, data)
        return (tuple(range(design.to_seeds)), design) if design is not None else ((), None)
    if not isinstance(data, list) or not data:
        faults.add(("seeds",), "write a list of seeds, as [0, 1, 2], or {from: 3, to: 10} for seeds while they matter")
        return (), None
    seen: set[int] = set()
    for i, seed in enumerate(data):
        if faults.seed(("seeds", i), seed):
            if seed in seen:
                faults.add(("seeds", i), f"seed {seed} stands twice; a seed run again is no replicate; keep one")
            seen.add(seed)
    return tuple(data), None


def seed_notes(design: Design | None) -> list[str]:
    """Give a remark on a range of seeds that begins with fewer than its intervals need."""
    if design is None or design.from_seeds > FEWEST_SEEDS:
        return []
    return [
        f"`seeds: {{from: {FEWEST_SEEDS}}}`: after {FEWEST_SEEDS} seeds intervals are very wide, so comparisons may "
        "stop early as hopeless; `from: 3` or more knows the noise better"
    ]


def check_seed_sums(faults: Faults, variants: Sequence[Variant], seeds: Sequence[int], design: Design | None) -> None:
    """Add a fault for each seed that becomes too large where a cell adds it to its recipe's."""
    largest = max((variant.recipe.seed for variant in variants), default=0)
    for i, seed in enumerate(seeds):
        if seed + largest > MAX_SEED:
            message = f"{seed} and the recipe's own seed, {largest}, are more than {MAX_SEED} together; lower one"
            faults.add(("seeds", i) if design is None else ("seeds", TO), message)


def offset_apart(first: int, seeds: Collection[int], taken: Set[int]) -> int:
    """Give what to add to seeds so that none is taken: `first`, or `STRIDE` more as often as that is needed."""
    while any(seed + first in taken for seed in seeds):
        first += STRIDE
    return first


def _range(faults: Faults, data: Mapping[str, Any]) -> Design | None:
    """Give the design of {from: 3, to: 10}; None, with its faults, where there is none."""
    for key in data:
        if key not in (FROM, TO):
            faults.add(("seeds", key), f"unknown key; {near(key, (FROM, TO), 'a range of seeds has')}")
    bounds = [_bound(faults, data, key) for key in (FROM, TO)]
    first, last = bounds
    if first is None or last is None:
        return None
    if last < first:
        message = f"{last} is below `from`, {first}; write a number of seeds from {first} to {MOST_SEEDS}"
        faults.add(("seeds", TO), message)
        return None
    return Design(first, last)


def _bound(faults: Faults, data: Mapping[str, Any], key: str) -> int | None:
    """Give a bound of a range of seeds; None, with its fault, where there is none."""
    value = data.get(key)
    if key not in data:
        faults.add(("seeds",), f"a range of seeds needs `{key}`; write it whole, as {{from: 3, to: 10}}")
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not FEWEST_SEEDS <= value <= MOST_SEEDS:
        numbers = f"a whole number from {FEWEST_SEEDS} to {MOST_SEEDS}"
        faults.add(("seeds", key), f"{excerpt(value)} is no such number of seeds; write {numbers}")
        return None
    return value
