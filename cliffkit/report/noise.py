"""Where the noise of a study's differences comes from, in sentences and as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cliffkit.report.wording import NOTHING
from cliffkit.statistics import Noise, noise_of
from cliffkit.study.analysis import Table
from cliffkit.study.noise import GAIN, TAIL, NoiseSummary

MOST_SEEDS, MOST_IMAGES = 1000, 100_000
"""Larger numbers than these are not written out: no study has them."""

HEADS = ("from seeds", "from images", "from both", "seeds that halve it", "images that halve it")
"""Over the cells of a variant."""


def noise_sentences(summary: NoiseSummary | None) -> list[str]:
    """Say where the noise comes from and what would halve it; nothing where it is not known."""
    if summary is None:
        return []
    noise, parts = summary.mean, summary.mean.shares
    if not any(parts.values()):
        return ["The differences do not vary between seeds and images."]
    shares = ", ".join(f"{text} from {name}" for text, name in zip(_percents(parts), _PARTS.values(), strict=True))
    where = f"Noise of a difference, as its squared standard error: {shares}"
    seeds = f"{noise.seeds} seeds{', the median,' * summary.uneven}"
    whose = f"mean over the variants, at {seeds} and {noise.images} images"
    sentences = [f"{where} ({whose}).", f"{_halving(noise)}."]
    if summary.improving:
        sentences.append(
            f"In {summary.improving} of {summary.curves} cells the validation score still improved by more than "
            f"{_percent(GAIN)} in the last {_percent(TAIL)} of the steps. "
            "More steps may lower the part of the seeds too."
        )
    return sentences


def noise_rows(table: Table) -> Mapping[str, list[str]]:
    """Write the noise of each variant's difference, by the variant's name, in cells as `HEADS` names them."""
    noises = {row.variant.name: noise_of(row.difference) for row in table.rows}
    return {name: _cells(noise) for name, noise in noises.items() if noise is not None}


def noise_numbers(noise: Noise) -> dict[str, Any]:
    """Give the parts of a difference's noise by name, as CSV and `Findings` have them; None: no number halves it."""
    shares = {f"{part}_share": share for part, share in noise.shares.items()}
    return {**shares, "seeds_to_halve": noise.seeds_to_halve, "images_to_halve": noise.images_to_halve}


_PARTS = {"seeds": "seeds", "images": "images", "rest": "both together"}


def _cells(noise: Noise) -> list[str]:
    halving = _count(noise.seeds_to_halve, MOST_SEEDS), _count(noise.images_to_halve, MOST_IMAGES)
    return [*_percents(noise.shares), *halving]


def _halving(noise: Noise) -> str:
    """Say how many seeds, and how many images, would halve the standard error."""
    seeds, images = noise.seeds_to_halve, noise.images_to_halve
    words = [
        f"{_needed('seeds', seeds, MOST_SEEDS)} would halve the standard error",
        f"{_needed('images', images, MOST_IMAGES)} would",
    ]
    text = "; ".join(words)
    return text[0].upper() + text[1:]


def _needed(noun: str, number: int | None, most: int) -> str:
    if number is not None and number <= most:
        return f"{number:,} {noun}"
    return f"no {'' if number is None else 'realistic '}number of {noun} alone"


def _count(number: int | None, most: int) -> str:
    if number is None:
        return NOTHING
    return f"{number:,}" if number <= most else f"more than {most:,}"


def _percents(shares: Mapping[str, float]) -> list[str]:
    """Write shares in the order of `_PARTS`, rounded so that they sum to 100 %; the largest rests are rounded up."""
    exact = {part: 100 * shares[part] for part in _PARTS}
    whole = {part: math.floor(value) for part, value in exact.items()}
    missing = round(sum(exact.values())) - sum(whole.values())
    for part in sorted(exact, key=lambda part: whole[part] - exact[part])[:missing]:
        whole[part] += 1
    return [f"{value} %" for value in whole.values()]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
