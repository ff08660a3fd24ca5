"""How often the intervals of `cliffkit.statistics` hold the truth, on simulated crossed data: the tables of the docs.

    python tests/scripts/calibration.py [--studies N] [--seed S]

Every cell simulates studies without a difference, tables of seed + image + rest effects, and asks the package's own
core for their intervals; a study of each cell goes through `compare` too and must come out the same. What a true
difference would do follows from the same studies, moved by it. Markdown on stdout, progress on stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from cliffkit import statistics
from cliffkit.statistics import Floats

SEEDS = (2, 3, 5, 10)
IMAGES = (50, 654)
SEED_SDS = (0.0, 0.03, 0.1, 0.3, 1.0, 10.0)
IMAGE_AND_REST_SDS = ((0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (3.0, 1.0), (10.0, 1.0), (1.0, 0.0))
EFFECTS = (3.0, 6.0)
"""True differences whose power is measured, in true standard deviations of the mean."""
_VALUES = 2_000_000  # of a batch of studies: 16 MB


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the three effects; normal, or Student's t of so many degrees of freedom."""

    seed: float
    image: float
    rest: float
    tails: int | None = None

    def draw(self, rng: np.random.Generator, studies: int, seeds: int, images: int) -> Floats:
        """Tables (studies, seeds, images) of mean 0."""
        table = self.rest * self._effects(rng, (studies, seeds, images)) if self.rest else np.zeros((1, 1, 1))
        table = table + self.seed * self._effects(rng, (studies, seeds, 1))
        return table + self.image * self._effects(rng, (studies, 1, images))

    def _effects(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        if self.tails is None:
            return rng.standard_normal(shape)
        return np.asarray(rng.standard_t(self.tails, shape) / np.sqrt(self.tails / (self.tails - 2)))

    def of_mean(self, seeds: int, images: int) -> float:
        """True standard deviation of a study's mean."""
        return float(np.sqrt(self.seed**2 / seeds + self.image**2 / images + self.rest**2 / (seeds * images)))


@dataclass(frozen=True)
class Calibration:
    """What many studies of one kind came to."""

    coverage: float
    width: float
    """Median half-width of the interval, in true standard deviations of the mean: 1.96 if the noise were known."""
    power: tuple[float, ...]
    """Share of studies that see each of `EFFECTS`, with its sign."""


def calibrate(noise: Noise, seeds: int, images: int, studies: int, rng: np.random.Generator) -> Calibration:
    """Studies without a difference, simulated and estimated."""
    values, halves = (
        np.concatenate(parts) for parts in zip(*_studies(noise, seeds, images, studies, rng), strict=True)
    )
    sd = noise.of_mean(seeds, images)
    power = tuple(float((values + effect * sd > halves).mean()) for effect in EFFECTS)
    return Calibration(float((np.abs(values) <= halves).mean()), float(np.median(halves)) / sd, power)


def _studies(
    noise: Noise, seeds: int, images: int, studies: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Means and half-widths of 95 % intervals, batch by batch."""
    left = studies
    while left:
        count = min(left, max(1, _VALUES // (seeds * images)))
        tables = noise.draw(rng, count, seeds, images)
        value, x, m, e = statistics.mean_squares(tables)
        variance, df = statistics.noise_of_mean(x, m, e, seeds, images)
        half: Floats = np.asarray(stdtrit(df, 0.975) * np.sqrt(variance))
        if left == studies:
            whole = statistics.compare(tables[0], np.zeros_like(tables[0]))
            assert whole is not None
            np.testing.assert_allclose((whole.low, whole.high), (value[0] - half[0], value[0] + half[0]), rtol=1e-9)
        yield value, half
        left -= count


def same_recipe(noise: Noise, shared: float, seeds: int, images: int, studies: int, rng: np.random.Generator) -> float:
    """Share of A/A studies with the verdict `not distinguishable`: one recipe under two names, each trained anew.

    `shared` is the standard deviation of how hard the images are, which both have in common.
    """
    quiet = 0
    for _ in range(studies):
        hard = shared * rng.standard_normal((1, images))
        a, b = hard + noise.draw(rng, 2, seeds, images)
        word = statistics.verdict(statistics.compare(a, b), higher_is_better=False)
        quiet += word == statistics.NOISE
    return quiet / studies


def _table(title: str, results: dict[tuple[int, int, float, float], list[str]]) -> None:
    print(f"\n{title}\n")
    print("| seeds | images | image sd | rest sd | " + " | ".join(f"seed sd {sd:g}" for sd in SEED_SDS) + " |")
    print("|---" * (4 + len(SEED_SDS)) + "|")
    for (seeds, images, image, rest), cells in results.items():
        print(f"| {seeds} | {images} | {image:g} | {rest:g} | " + " | ".join(cells) + " |")


def _progress(done: int, of: int, what: str) -> None:
    print(f"\r{done}/{of} {what:<40}", end="" if done < of else "\n", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000, help="per cell (4000)")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation (0)")
    arguments = parser.parse_args()
    studies, rng = arguments.studies, np.random.default_rng(arguments.seed)
    sizes = [(seeds, images) for seeds in SEEDS for images in IMAGES]
    print(f"{studies} studies a cell, seed {arguments.seed}.")
    print(f"The standard error of a coverage of 95 % is {100 * np.sqrt(0.95 * 0.05 / studies):.2f} points.")

    rows = [(*size, image, rest) for size in sizes for image, rest in IMAGE_AND_REST_SDS]
    grid: dict[tuple[int, int, float, float], list[Calibration]] = {}
    for done, (seeds, images, image, rest) in enumerate(rows):
        _progress(done, len(rows), f"{seeds} seeds, {images} images, image sd {image:g}")
        grid[seeds, images, image, rest] = [
            calibrate(Noise(seed, image, rest), seeds, images, studies, rng)
            for seed in SEED_SDS
            if seed or image or rest
        ]
    _progress(len(rows), len(rows), "normal effects")

    print("\n### Least and greatest coverage\n")
    print("| seeds | images | least | greatest |\n|---|---|---|---|")
    for size in sizes:
        found = [100 * cell.coverage for row, cells in grid.items() if row[:2] == size for cell in cells]
        print(f"| {size[0]} | {size[1]} | {min(found):.1f} | {max(found):.1f} |")
    _table(
        "### Coverage of the 95 % interval, %",
        {row: [f"{100 * cell.coverage:.1f}" for cell in cells] for row, cells in grid.items()},
    )
    _table(
        "### Median half-width in true standard deviations of the mean",
        {row: [f"{cell.width:.2f}" for cell in cells] for row, cells in grid.items()},
    )
    _table(
        "### Power, %, of a true difference of " + " / ".join(f"{e:g}" for e in EFFECTS) + " such standard deviations",
        {row: [" / ".join(f"{100 * p:.0f}" for p in cell.power) for cell in cells] for row, cells in grid.items()},
    )

    heavy = {}
    rows = [(*size, image, 1.0) for size in sizes for image in (0.3, 3.0)]
    for done, (seeds, images, image, rest) in enumerate(rows):
        _progress(done, len(rows), f"{seeds} seeds, {images} images, heavy tails")
        heavy[seeds, images, image, rest] = [
            f"{100 * calibrate(Noise(seed, image, rest, tails=4), seeds, images, studies, rng).coverage:.1f}"
            for seed in SEED_SDS
        ]
    _progress(len(rows), len(rows), "heavy tails")
    _table("### Coverage, %, where all effects have the tails of Student's t with 4 degrees of freedom", heavy)

    print("\n### The same recipe under two names: verdicts `not distinguishable from noise`, %\n")
    print(
        "Each of the two has the seed sd given, an image sd of its own of 0.3, and a rest sd of 1; they have an image "
        "sd of 3 in common.\n"
    )
    names = [f"seed sd {sd:g}" for sd in SEED_SDS]
    print("| seeds | images | " + " | ".join(names) + " |\n" + "|---" * (2 + len(names)) + "|")
    for done, (seeds, images) in enumerate(sizes):
        _progress(done, len(sizes), "the same recipe twice")
        quiet = [same_recipe(Noise(sd, 0.3, 1.0), 3.0, seeds, images, max(studies // 4, 1), rng) for sd in SEED_SDS]
        print(f"| {seeds} | {images} | " + " | ".join(f"{100 * share:.1f}" for share in quiet) + " |")
    _progress(len(sizes), len(sizes), "done")


if __name__ == "__main__":
    main()
