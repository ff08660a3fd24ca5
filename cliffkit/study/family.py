"""Holm's p over a family of comparisons: every one that was planned counts, measured or not.

So no p grows because others were measured later, and a comparison whose cells failed makes no other surer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from cliffkit.statistics import Estimate, holm

Key = TypeVar("Key")


def family_wise(p: Mapping[Key, float], apart: Collection[Key] = ()) -> dict[Key, float]:
    """Give Holm's p over all comparisons but those apart, whose own p it is."""
    family = [key for key in p if key not in apart]
    return {**p, **dict(zip(family, holm([p[key] for key in family]), strict=True))}


def over_planned(differences: Mapping[Key, Estimate | None], apart: Collection[Key] = ()) -> dict[Key, float]:
    """Give Holm's p of the differences that have one, at fixed seeds; each of the others counts as one of p = 1.

    None is not measured yet; one seed or one image has no p that says anything of other seeds or images.
    """
    tested = {
        key: difference.p
        for key, difference in differences.items()
        if difference is not None and difference.seeds_measured and difference.images > 1
    }
    adjusted = family_wise({key: tested.get(key, 1.0) for key in differences}, apart)
    return {key: adjusted[key] for key in tested}
