"""The placebo of a study: its reference under other seeds, which no comparison should tell from the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cliffkit.recipe.faults import Faults
from cliffkit.study.seeds import offset_apart
from cliffkit.study.study import Variant
from cliffkit.text import excerpt

PLACEBO = "placebo"
"""Name of the placebo among the variants, and its level on every axis."""

PLACEBO_OFFSET = 10_000
"""Added to the reference's seeds, unless the study has these seeds itself."""


def check_placebo(faults: Faults, data: Any, axes: Mapping[str, Iterable[str]]) -> bool:
    """Check what a study says of its placebo. No level may have its name."""
    if not isinstance(data, bool):
        message = f"{excerpt(data)} is neither true nor false; write true for the reference under other seeds"
        faults.add((PLACEBO,), message)
        return False
    for axis, levels in axes.items():
        if data and PLACEBO in levels:
            message = f"'{PLACEBO}' names the reference under other seeds in this study; give the level another name"
            faults.add(("axes", axis, PLACEBO), message)
    return bool(data)


def placebo_of(reference: Variant, variants: Iterable[Variant], seeds: Sequence[int]) -> Variant:
    """Give the reference under seeds that no cell of the study has."""
    taken = {variant.recipe.seed + seed for variant in variants for seed in seeds}
    own = [reference.recipe.seed + seed for seed in seeds]
    offset = offset_apart(PLACEBO_OFFSET, own, taken)
    recipe = replace(reference.recipe, seed=reference.recipe.seed + offset, published=())
    own_seeds = {seed: seed + offset for seed in seeds}
    return Variant(PLACEBO, (PLACEBO,) * len(reference.levels), recipe, own_seeds=own_seeds)
