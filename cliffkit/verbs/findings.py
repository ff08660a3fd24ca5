"""A study's findings as Python has them: tables, verdicts, the runs of its cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cliffkit.errors import UserError
from cliffkit.jobs.run_folder import is_published, publish, run_folder
from cliffkit.report.noise import noise_numbers
from cliffkit.report.sentences import row_sentence
from cliffkit.report.summary import summary
from cliffkit.report.where import COLUMNS as WHERE
from cliffkit.report.where import where_rows
from cliffkit.statistics import Estimate, noise_of
from cliffkit.store.store import Store
from cliffkit.study.analysis import Analysis, Row
from cliffkit.study.cells import Cell
from cliffkit.study.columns import VARIANT
from cliffkit.study.effects import Effect
from cliffkit.study.results import Results
from cliffkit.study.rounds import NOT_NEEDED, Stop
from cliffkit.study.study import Comparison
from cliffkit.verbs.finished import Run
from cliffkit.verbs.rows import Rows

REFERENCE = "reference"
"""Word in the place of the reference's verdict."""

_ESTIMATE = ("value", "low", "high")

_NOISE = ("seeds_share", "images_share", "rest_share", "seeds_to_halve", "images_to_halve")


@dataclass(frozen=True, repr=False)
class Findings:
    """The findings of a study: its results, what its differences are worth, and the report where one was written."""

    results: Results
    analysis: Analysis
    folder: Path
    """Of the report, and of the cells' runs."""
    files: Mapping[str, Path]
    """The report's files by name, `report.html` first; empty where none was written."""
    device: str = "auto"
    """Where the networks of `run` compute."""

    @property
    def study(self) -> Comparison:
        """What was compared; of a study, the study as it was checked."""
        return self.results.study

    @property
    def summary(self) -> str:
        """What was found, in one sentence to quote."""
        return summary(self.results, self.analysis)

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict on each variant against the reference, in the study's metric and protocol.

        `better`, `worse`, `equivalent`, `not distinguishable from noise`, `on these weights only` (one seed) or
        `not measured`; the reference itself has `reference`.
        """
        return {row.variant.name: row.word or REFERENCE for row in self.analysis.first(self.results).rows}

    @property
    def stops(self) -> dict[str, Stop]:
        """Why each variant got no more seeds, or that it goes on; empty where every variant gets all seeds.

        `str(stop)` says it in words, as "decided at 4 of 10 seeds".
        """
        rows = self.analysis.first(self.results).rows
        return {row.variant.name: row.stop for row in rows if row.stop is not None}

    @property
    def sentences(self) -> dict[str, str]:
        """Each verdict as a sentence with its numbers; nothing for the reference."""
        rows = self.analysis.first(self.results).rows
        compared = (row for row in rows if row.word is not None)
        return {row.variant.name: row_sentence(row, row.metric) for row in compared}

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the cells that failed; `cells` says why."""
        return tuple(result.cell.name for result in self.results.cells if result.state == "failed")

    @property
    def cells(self) -> Rows:
        """Each cell, a variant under a seed: columns variant, seed, state, reason, key.

        States are done, failed, waiting, and with adaptive seeds not needed.
        """
        rows = (
            {
                "variant": result.cell.variant.name,
                "seed": result.cell.own_seed,
                "state": result.state,
                "reason": result.reason,
                "key": result.cell.key,
            }
            for result in self.results.cells
        )
        return Rows(rows, ("variant", "seed", "state", "reason", "key"))

    @property
    def effects(self) -> Rows:
        """What a change along an axis does on average, interactions, and shares of the improvement (Shapley).

        Columns kind, axes, change, value, low, high, p, verdict; in the study's metric and protocol.
        """
        kinds = (
            ("main effect", self.analysis.main),
            ("interaction", self.analysis.interactions),
            ("share", self.analysis.shares),
        )
        rows = (_effect(kind, effect) for kind, effects in kinds for effect in effects)
        return Rows(rows, ("kind", "axes", "change", *_ESTIMATE, "p", "verdict"))

    @property
    def tuning(self) -> Rows:
        """The search inside every variant: a row for each combination of values that was tried on the validation split.

        Columns variant, one per path, seeds (trained to try it), score (their mean), state (done, failed, waiting),
        reason, chosen. None stands for a path that the variant lacks. No rows where the study has no search.
        """
        paths = tuple(self.study.tuning.grid) if self.study.tuning is not None else ()
        rows = (
            {
                "variant": variant,
                **{path: tried.trial.values.get(path) for path in paths},
                "seeds": choice.seeds,
                "score": tried.score,
                "state": tried.state,
                "reason": tried.reason,
                "chosen": tried.trial is choice.chosen,
            }
            for variant, choice in self.results.choices.items()
            for tried in choice.tried
            if choice.seeds
        )
        return Rows(rows, ("variant", *paths, "seeds", "score", "state", "reason", "chosen"))

    @property
    def noise(self) -> Rows:
        """Where the noise of each difference comes from, and what would halve its standard error.

        Columns variant, seeds, images, the shares of the squared standard error (seeds_share, images_share,
        rest_share), and the numbers of seeds or images in all that would halve it (seeds_to_halve, images_to_halve;
        None: no number does). In the study's metric and protocol, without differences of one seed or one image.
        """
        noises = {row.variant.name: noise_of(row.difference) for row in self.analysis.first(self.results).rows}
        rows = [
            {"variant": name, "seeds": noise.seeds, "images": noise.images, **noise_numbers(noise)}
            for name, noise in noises.items()
            if noise is not None
        ]
        return Rows(rows, ("variant", "seeds", "images", *_NOISE))

    @property
    def where(self) -> Rows:
        """Differences from the reference in regions of the images, in the study's metric and protocol.

        Columns family (depth, edges, scenes), region, region_images, variant, value, low, high, p (Holm's, over the
        family), verdict, seeds, images.
        """
        return Rows(where_rows(self.analysis.where), WHERE)

    def table(self, *, protocol: str | None = None, metric: str | None = None) -> Rows:
        """Give every variant's mean and its difference from the reference; by default as the study compares.

        Columns: variant, one per axis, mean with the ends of its 95 % interval (mean_low, mean_high), difference with
        its ends (low, high), p (Holm's, over the table), verdict, best, tied (not distinguishable from the best),
        seeds, images. None stands for what is not measured. Raises UserError for an unknown protocol or metric.

        Example: `findings.table(metric="rmse").to_pandas()`.
        """
        protocol, metric = protocol or self.study.protocol, metric or self.study.metric
        tables = self.analysis.tables
        if (protocol, metric) not in tables:
            protocols, metrics = (list(dict.fromkeys(names)) for names in zip(*tables, strict=True))
            raise UserError(
                f"the study has no table of {metric} under {protocol}; its protocols are {', '.join(protocols)}, its "
                f"metrics {', '.join(metrics)}"
            )
        axes = tuple(self.study.axes)
        return Rows((self._row(row, axes) for row in tables[protocol, metric].rows), ("variant", *axes, *VARIANT))

    def run(self, variant: str, seed: int) -> Run:
        """Give the run of one cell. Raises UserError where the study has no such cell, or it is not done.

        Example: `findings.run("none + add", 0).predictor()("photo.jpg")`.
        """
        for result in self.results.cells:
            if (result.cell.variant.name, result.cell.own_seed) != (variant, seed):
                continue
            if result.state != "done":
                raise UserError(f"{result.cell.name}: {result.state}{f': {result.reason}' if result.reason else ''}")
            if not isinstance(result.cell, Cell) or self.results.store is None:
                raise UserError(f"{result.cell.name}: its predictions were given; there is no run of them")
            recipe, jobs, parent = result.cell.recipe, result.cell.jobs, self.folder / "cells"
            folder = run_folder(recipe, jobs, parent)
            if not is_published(folder):
                publish(recipe, jobs, Store(self.results.store), parent=parent)
            return Run(folder, recipe, self.device)
        raise UserError(
            f"the study has no cell '{variant}', seed {seed}; its variants are {_listed(self.verdicts)}, its seeds "
            f"{', '.join(dict.fromkeys(str(result.cell.own_seed) for result in self.results.cells))}"
        )

    def __repr__(self) -> str:
        """Write the study's name, what is compared, and the table."""
        study = self.study
        needed = sum(result.state != NOT_NEEDED for result in self.results.cells)
        head = f"{study.name}: {self.results.done} of {needed} cells done"
        return f"{head}; {study.metric} under {study.protocol} against {study.reference.name}\n{self.table()!r}"

    def _row(self, row: Row, axes: Iterable[str]) -> dict[str, object]:
        mean, gap = row.mean, row.difference
        return {
            "variant": row.variant.name,
            **dict(zip(axes, row.variant.levels, strict=True)),
            **_numbers(mean, ("mean", "mean_low", "mean_high")),
            **_numbers(gap, ("difference", "low", "high")),
            "p": row.p_adjusted,
            "verdict": row.word or REFERENCE,
            "best": row.best,
            "tied": row.tied,
            "seeds": None if mean is None else mean.seeds,
            "images": None if mean is None else mean.images,
        }


def _effect(kind: str, effect: Effect) -> dict[str, object]:
    return {
        "kind": kind,
        "axes": " x ".join(effect.axes),
        "change": effect.label,
        **_numbers(effect.estimate, _ESTIMATE),
        "p": effect.p_adjusted,
        "verdict": effect.word,
    }


def _numbers(estimate: Estimate | None, names: tuple[str, str, str]) -> dict[str, float | None]:
    """Give an estimate and the ends of its interval, under these names."""
    values = (None,) * 3 if estimate is None else (estimate.value, estimate.low, estimate.high)
    return dict(zip(names, values, strict=True))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
