"""Where a variant helps and where it harms, in sentences and as tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from cliffkit.report.wording import MARKS, column_digits, interval, listed, number
from cliffkit.scoring.regions import DEPTH, EDGES
from cliffkit.statistics import BETTER, UNMEASURED, WORSE
from cliffkit.study.where import SCENES, Family, Local

TITLES: Mapping[str, str] = MappingProxyType(
    {DEPTH: "By range of depth", EDGES: "At boundaries and inside surfaces", SCENES: "By scene type"}
)

COLUMNS = ("family", "region", "region_images", "variant", "value", "low", "high", "p", "verdict", "seeds", "images")
"""Of the table for programs. `p` is Holm's over the family; None stands for what is not measured or has no end."""


def where_sentences(families: tuple[Family, ...]) -> list[str]:
    """Name the regions in which a variant is better or worse, a sentence for each variant; or say that none is."""
    if not families:
        return []
    parts: dict[str, list[str]] = {}
    for word in (BETTER, WORSE):
        for name, regions in _regions(families, word).items():
            parts.setdefault(name, []).append(f"{word} in {listed(regions)}")
    if not parts:
        measured = sum(family.measured for family in families)
        missing = sum(family.compared for family in families) - measured
        counted = f"{measured} comparison{'s' * (measured != 1)}"
        words = f"{'No variant' if not missing else 'No variant that is measured'} differs from the reference"
        return [f"{words} by more than noise in any region: {counted}."] if measured else []
    return [f"{variant}: {'; '.join(words)}." for variant, words in parts.items()]


def _regions(families: tuple[Family, ...], word: str) -> dict[str, list[str]]:
    """List the regions in which variants got a word, by the variants' names."""
    regions: dict[str, list[str]] = {}
    for family in families:
        for variant, row in family.rows:
            for region, local in zip(family.regions, row, strict=True):
                if local.word == word:
                    regions.setdefault(variant.name, []).append(region)
    return regions


def where_table(family: Family) -> dict[str, Any]:
    """Write a family as text: a head with the images of each region, and a line for each variant."""
    counts = zip(family.regions, family.images, strict=True)
    columns = zip(*(row for _, row in family.rows), strict=True)
    decimals = [column_digits([local.difference] for local in column) for column in columns]
    return {
        "title": TITLES[family.name],
        "heads": [f"{region} ({images} image{'s' * (images != 1)})" for region, images in counts],
        "rows": [
            (variant.name, [(_cell(local, count), local.word) for local, count in zip(row, decimals, strict=True)])
            for variant, row in family.rows
        ],
        "compared": family.compared,
    }


def where_rows(families: tuple[Family, ...]) -> Iterator[dict[str, Any]]:
    """Give a row for each region and variant, for programs, with keys as `COLUMNS` names them."""
    for family in families:
        for k, (region, images) in enumerate(zip(family.regions, family.images, strict=True)):
            for variant, row in family.rows:
                yield {
                    "family": family.name,
                    "region": region,
                    "region_images": images,
                    "variant": variant.name,
                    **_numbers(row[k]),
                }


def _numbers(local: Local) -> dict[str, Any]:
    gap = local.difference
    values = (math.nan,) * 3 if gap is None else (gap.value, gap.low, gap.high)
    seeds, images = (0, 0) if gap is None else (gap.seeds, gap.images)
    value, low, high = (number if math.isfinite(number) else None for number in values)
    numbers = {"value": value, "low": low, "high": high, "p": local.p_adjusted}
    return {**numbers, "verdict": local.word, "seeds": seeds, "images": images}


def _cell(local: Local, decimals: int) -> str:
    """Write a difference with its interval behind the mark of its verdict."""
    gap = local.difference
    if gap is None:
        return MARKS[UNMEASURED]
    return f"{MARKS[local.word]} {number(gap.value, decimals, sign=True)} {interval(gap, decimals, sign=True)}"
