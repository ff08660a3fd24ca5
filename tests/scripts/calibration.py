"""How often the intervals of `cliffkit.statistics` hold the truth, on simulated crossed data: the tables of the docs.

    python tests/scripts/calibration.py [--studies N] [--seed S] [--part fixed|adaptive]

Every cell simulates studies without a difference, tables of seed + image + rest effects, and asks the package's own
core for their intervals; a study of each cell goes through `compare` too and must come out the same. What a true
difference would do follows from the same studies, moved by it. Markdown on stdout, progress on stderr.

The second part does the same with adaptive seeds (`Design`), looked at after each seed and stopped by its rules.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from cliffkit import statistics
from cliffkit.statistics import Design, Floats, Look

SEEDS = (2, 3, 5, 10)
IMAGES = (50, 654)
SEED_SDS = (0.0, 0.03, 0.1, 0.3, 1.0, 10.0)
IMAGE_AND_REST_SDS = ((0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (3.0, 1.0), (10.0, 1.0), (1.0, 0.0))
EFFECTS = (3.0, 6.0)
"""True differences whose power is measured, in true standard deviations of the mean."""
DESIGN = Design(3, 10)
SHIFTS = (0.0, 1.0, 1.5, 2.0, 3.0)
"""True differences of adaptive studies, in standard deviations of the mean of one seed (`Noise.of_seed`)."""
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

    def of_seed(self, images: int) -> float:
        """True standard deviation of a seed's mean on given images: what grows less with seeds."""
        return float(np.sqrt(self.seed**2 + self.rest**2 / images))


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


@dataclass(frozen=True)
class Outcome:
    """What many adaptive studies with one true difference came to, each stopped where decided or futile."""

    decided: float
    """Share of studies that found a difference."""
    seeds: float
    """Mean number of seeds."""
    coverage: float
    """Share of studies whose repeated interval at the stop holds the truth."""
    fixed: float
    """Share of studies that would have found a difference with all seeds and no look before."""


def adaptive(
    noise: Noise,
    design: Design,
    images: int,
    studies: int,
    rng: np.random.Generator,
    shifts: tuple[float, ...] = SHIFTS,
) -> list[Outcome]:
    """Adaptive studies, simulated: an outcome for each of the true differences, in `Noise.of_seed`."""
    sums = np.zeros((len(shifts), 4))
    for tables in _batches(noise, design.to_seeds, images, studies, rng):
        looks = list(_looks(design, tables))
        halves = [design.half_width(look) for look in looks]
        leasts = [design.least(look) for look in looks]
        leasts[-1] = np.full_like(leasts[-1], np.inf)
        last = looks[-1]
        variance, df = statistics.noise_of_mean(last.x, last.m, last.e, last.seeds, images)
        fixed = stdtrit(df, 0.975) * np.sqrt(variance)

        for row, shift in zip(sums, shifts, strict=True):
            going, effect = np.ones(len(tables), bool), shift * noise.of_seed(images)
            for look, half, least in zip(looks, halves, leasts, strict=True):
                size = np.abs(look.mean + effect)
                stops = going & ((size > half) | (size <= least))
                held = np.abs(look.mean) <= half
                row[:3] += (stops & (size > half)).sum(), look.seeds * stops.sum(), (stops & held).sum()
                going &= ~stops
            row[3] += (np.abs(last.mean + effect) > fixed).sum()
        _check_one(design, tables[0], looks, leasts)
    return [Outcome(*row) for row in (sums / studies).tolist()]


def _looks(design: Design, tables: Floats) -> Iterator[Look]:
    for seeds in range(design.from_seeds, design.to_seeds + 1):
        yield Look.at(tables[:, :seeds])


def _batches(
    noise: Noise, seeds: int, images: int, studies: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    left = studies
    while left:
        count = min(left, max(1, _VALUES // (seeds * images)))
        yield noise.draw(rng, count, seeds, images)
        left -= count


def _check_one(design: Design, table: Floats, looks: list[Look], leasts: list[Floats]) -> None:
    """Hold the batch against what a study calls, for its first table."""
    p = min(float(design.level(design.nominal(look)[0], look.seeds)) for look in looks)
    np.testing.assert_allclose(design.p(table), p, rtol=1e-6)
    for look, least in zip(looks[:-1], leasts, strict=False):
        assert design.futile(table[: look.seeds]) == (abs(look.mean[0]) <= least[0])


def sequential_p(design: Design, tables: Floats) -> Floats:
    """Sequential p of tables (studies, seeds, images) after their last look."""
    return np.min([design.level(design.nominal(look), look.seeds) for look in _looks(design, tables)], axis=0)


def family(noise: Noise, design: Design, images: int, variants: int, studies: int, rng: np.random.Generator) -> float:
    """Share of studies with any false finding by Holm over sequential p: variants that equal their common reference.

    Every variant is looked at to the end, the worst case: where none differs Holm finds one where the smallest p is at
    most alpha / variants.
    """
    wrong = 0
    for reference in _batches(noise, design.to_seeds, images, studies, rng):
        count = len(reference)
        p = [sequential_p(design, noise.draw(rng, count, design.to_seeds, images) - reference) for _ in range(variants)]
        wrong += int((np.min(p, axis=0) <= design.alpha / variants).sum())
    return wrong / studies


def false_equivalence(
    noise: Noise, design: Design, images: int, smallest: float, studies: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Share of studies called equivalent where the true difference is the smallest of interest: fixed, adaptive.

    `smallest` is in true standard deviations of the mean at the last look. Adaptive studies are looked at to the end,
    the worst case.
    """
    size = smallest * noise.of_mean(design.to_seeds, images)
    fixed = sequential = 0
    for tables in _batches(noise, design.to_seeds, images, studies, rng):
        looks = list(_looks(design, tables + size))
        last = looks[-1]
        variance, df = statistics.noise_of_mean(last.x, last.m, last.e, last.seeds, images)
        fixed += int((np.abs(last.mean) + stdtrit(df, 0.95) * np.sqrt(variance) < size).sum())
        sequential += int(np.any([design.within(look, size) for look in looks], axis=0).sum())
    return fixed / studies, sequential / studies


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
    parser.add_argument("--part", choices=("fixed", "adaptive"), help="of the tables (both)")
    arguments = parser.parse_args()
    print(f"{arguments.studies} studies a cell, seed {arguments.seed}.")
    if arguments.part != "adaptive":
        print_fixed(arguments.studies, np.random.default_rng(arguments.seed))
    if arguments.part != "fixed":
        print_adaptive(arguments.studies, np.random.default_rng(arguments.seed))


def print_fixed(studies: int, rng: np.random.Generator) -> None:
    """Print the tables of studies with a fixed number of seeds."""
    sizes = [(seeds, images) for seeds in SEEDS for images in IMAGES]
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


def print_adaptive(studies: int, rng: np.random.Generator) -> None:
    """Print the tables of studies with adaptive seeds."""
    last = DESIGN.to_seeds
    print(f"\nSeeds from {DESIGN.from_seeds} to {last}, bounds on p of a look:")
    print(", ".join(f"{limit:.5f}" for limit in DESIGN.bounds.values()))

    rows = [(last, images, image, rest) for images in IMAGES for image, rest in IMAGE_AND_REST_SDS]
    grid = {}
    for done, (_, images, image, rest) in enumerate(rows):
        _progress(done, len(rows), f"adaptive, {images} images, image sd {image:g}")
        noises = [Noise(seed, image, rest) for seed in SEED_SDS]
        grid[last, images, image, rest] = [adaptive(noise, DESIGN, images, studies, rng) for noise in noises]
    _progress(len(rows), len(rows), "adaptive")

    print("\n### Adaptive seeds: the worst of all ratios\n")
    print("| images | false positives, % | seeds without a difference | coverage, % | power lost at one sd, points |")
    print("|---|---|---|---|---|")
    for images in IMAGES:
        runs = [run for row, cells in grid.items() if row[1] == images for run in cells]
        print(
            f"| {images} | {100 * max(run[0].decided for run in runs):.1f} "
            f"| {max(run[0].seeds for run in runs):.2f} "
            f"| {100 * min(outcome.coverage for run in runs for outcome in run):.1f} "
            f"| {100 * max(run[1].fixed - run[1].decided for run in runs):.1f} |"
        )

    def cells(text: Callable[[list[Outcome]], str]) -> dict[tuple[int, int, float, float], list[str]]:
        return {row: [text(run) for run in runs] for row, runs in grid.items()}

    _table(
        "### Adaptive seeds without a difference: false positives, % / mean seeds",
        cells(lambda run: f"{100 * run[0].decided:.1f} / {run[0].seeds:.1f}"),
    )
    _table(
        "### Power, %, at one sd of a seed's mean: adaptive / all seeds",
        cells(lambda run: f"{100 * run[1].decided:.0f} / {100 * run[1].fixed:.0f}"),
    )
    _table(
        "### Least coverage of the repeated interval at the stop, %, over all differences",
        cells(lambda run: f"{100 * min(outcome.coverage for outcome in run):.1f}"),
    )

    print("\n### Power, % / mean seeds, by the true difference in sds of a seed's mean (50 images)\n")
    print("| seed sd | image sd | rest sd | | " + " | ".join(f"{shift:g}" for shift in SHIFTS) + " |")
    print("|---" * (4 + len(SHIFTS)) + "|")
    for seed, image, rest in ((1.0, 0.0, 1.0), (1.0, 1.0, 1.0), (0.1, 0.0, 1.0)):
        run = grid[last, 50, image, rest][SEED_SDS.index(seed)]
        start = f"| {seed:g} | {image:g} | {rest:g} "
        print(start + "| adaptive | " + " | ".join(f"{100 * o.decided:.1f} / {o.seeds:.1f}" for o in run) + " |")
        print(start + "| all seeds | " + " | ".join(f"{100 * o.fixed:.1f} / {last}" for o in run) + " |")

    some = [(1.0, 0.0, 1.0), (1.0, 1.0, 1.0), (1.0, 3.0, 1.0), (0.1, 0.3, 1.0), (0.0, 0.3, 1.0)]
    print("\n### Studies with any false finding, %, by Holm over sequential p (50 images)\n")
    print("| seed sd | image sd | rest sd | 2 variants | 4 variants | 8 variants |\n" + "|---" * 6 + "|")
    for done, sds in enumerate(some):
        _progress(done, len(some), "families")
        wrong = [family(Noise(*sds), DESIGN, 50, variants, studies, rng) for variants in (2, 4, 8)]
        print("| " + " | ".join(f"{sd:g}" for sd in sds) + " | " + " | ".join(f"{100 * w:.1f}" for w in wrong) + " |")
    _progress(len(some), len(some), "families")

    print("\n### Called equivalent, %, at a true difference of exactly `smallest` (50 images)\n")
    print("`smallest` is given in true standard deviations of the mean at the last look; fixed / adaptive.\n")
    print("| seed sd | image sd | rest sd | smallest 3 | smallest 6 |\n" + "|---" * 5 + "|")
    for sds in some:
        wrong_of = [false_equivalence(Noise(*sds), DESIGN, 50, smallest, studies, rng) for smallest in (3.0, 6.0)]
        shares = " | ".join(f"{100 * fixed:.1f} / {100 * sequential:.1f}" for fixed, sequential in wrong_of)
        print("| " + " | ".join(f"{sd:g}" for sd in sds) + f" | {shares} |")


if __name__ == "__main__":
    main()
