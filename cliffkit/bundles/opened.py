"""An unpacked bundle: its study, its cells and their results, as the report was made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cliffkit.bundles import facts
from cliffkit.bundles.archive import is_plain
from cliffkit.bundles.facts import BundledCell, BundleFacts
from cliffkit.bundles.recorded import RecordedRecipe, Recorder
from cliffkit.errors import UserError
from cliffkit.recipe import yamlstrict
from cliffkit.statistics import Design
from cliffkit.store.artifacts import RECIPE, GivenScores, JobRecord, RunParts
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.study.cells import Cell, Replicate
from cliffkit.study.reading import gather, read_done
from cliffkit.study.results import CellResult, Results, as_played
from cliffkit.study.study import Comparison, Levels, Point, Study, Trial, Tuning, Variant
from cliffkit.study.tuning import Choice, Tried


@dataclass(frozen=True)
class GivenReplicate(Replicate):
    """Predictions that were given, a seed of their variant."""

    scores_key: str

    @property
    def keys(self) -> Mapping[str, str]:
        """The key of its scores."""
        return {"evaluate": self.scores_key}


class OpenedBundle:
    """A bundle in a folder. Every property raises UserError where a file that it needs is missing or wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, Any] = {}
        self._recipes: dict[str, RecordedRecipe] = {}
        self.facts = BundleFacts.read(folder)
        if self.facts.format > facts.FORMAT:
            raise UserError(
                f"{BundleFacts.FILE}: the bundle is of format {self.facts.format}, this cliffkit reads {facts.FORMAT}; "
                f"install cliffkit {self.facts.cliffkit}"
            )
        for cell in self.facts.cells:
            names = [cell.folder, *(f"{stage}-{key}" for stage, key in cell.keys.items())]
            if not all("/" not in name and is_plain(name) for name in names):
                raise UserError(f"{BundleFacts.FILE}: cell '{cell.name}' names a folder outside of the bundle")

    @property
    def report(self) -> Path:
        """The folder of the report."""
        return self.folder / facts.REPORT

    def job(self, stage: str, key: str) -> Path:
        """Give the folder of a job."""
        return self.folder / facts.JOBS / f"{stage}-{key}"

    @cached_property
    def records(self) -> dict[str, JobRecord]:
        """The records of all jobs, by the names of their folders."""
        return {path.parent.name: JobRecord.read(path.parent) for path in sorted(self.folder.glob("jobs/*/job.json"))}

    def written(self, cell: BundledCell) -> Any:
        """Read what a cell's recipe says."""
        return self.yaml(f"{facts.CELLS}/{cell.folder}/{RECIPE}")

    def yaml(self, name: str) -> Any:
        """Read a YAML file of the bundle."""
        if name not in self._read:
            document = yamlstrict.load(self.folder / name)
            if document.faults:
                raise UserError(f"{name}: {document.faults[0].message}")
            self._read[name] = document.data
        return self._read[name]

    def parts(self, cell: BundledCell) -> RunParts:
        """Read the parts of a cell that is done."""
        return RunParts.read(self.folder / facts.CELLS / cell.folder)

    def recipe(self, cell: BundledCell) -> RecordedRecipe:
        """Make the recipe of a cell."""
        place = f"{facts.CELLS}/{cell.folder}/{RECIPE}"
        if place not in self._recipes:
            parts = self.parts(cell) if cell.state == "done" else None
            written = self.written(cell)
            recorder = Recorder(place, parts, self._has_weights(cell, written))
            self._recipes[place] = recorder.recipe(written, self.facts.study.protocols)
        return self._recipes[place]

    def _has_weights(self, cell: BundledCell, written: Any) -> bool:
        """Tell whether the class of a cell's embedding generator has weights, by the jobs that the cell has."""
        record = self.records.get(f"embedding-{cell.keys.get('embedding', '')}")
        if record is None:
            return False
        trained = written["embedding"].get("trained", True) if isinstance(written.get("embedding"), dict) else True
        return "train" in record.inputs or not trained

    @cached_property
    def study(self) -> Study:
        """The study, of recorded recipes."""
        compared, text = self.facts.study, (self.folder / facts.STUDY).read_text(encoding="utf-8")
        recipes: dict[str, RecordedRecipe] = {}
        for cell in self.facts.cells:
            recipes.setdefault(cell.variant, self.recipe(cell))
        variants = tuple(
            Variant(entry.name, entry.levels, recipes[entry.name], own_seeds=dict(entry.own_seeds))
            for entry in compared.variants
        )
        reference = next((variant for variant in variants if variant.levels == compared.reference), None)
        if reference is None:
            raise UserError(f"{BundleFacts.FILE}: the reference is no variant of the study")
        return Study(
            name=compared.name,
            design=compared.design,
            file=facts.STUDY,
            base=Recorder(facts.BASE, None, has_weights=False).recipe(self.yaml(facts.BASE), compared.protocols),
            seeds=compared.seeds,
            axes=dict(compared.axes),
            variants=variants,
            metric=compared.metric,
            protocol=compared.protocol,
            reference=reference,
            full=compared.full,
            notes=compared.notes,
            earlier=compared.earlier,
            text=text,
            overrides=compared.overrides,
            adaptive=None if compared.adaptive is None else Design(*compared.adaptive),
            smallest=compared.smallest,
            tuning=self._tuning(variants),
        )

    def _tuning(self, variants: tuple[Variant, ...]) -> Tuning | None:
        search = self.facts.tuning
        if search is None:
            return None
        trials = [
            Trial(variant, trial.values, variant.recipe)
            for variant in variants
            if variant.name in search.choices and not variant.is_placebo
            for trial in search.choices[variant.name].tried
        ]
        return Tuning(dict(search.grid), tuple(trials), search.seeds)

    @cached_property
    def choices(self) -> dict[Levels, Choice]:
        """What the search chose, by the levels of variants; empty without a search."""
        search, tuning = self.facts.tuning, self.study.tuning
        if search is None or tuning is None:
            return {}
        choices = {}
        for variant in self.study.variants:
            choice = search.choices.get(variant.name)
            if choice is None:
                continue
            trials = tuning.of(variant)
            tried = tuple(
                Tried(trial, one.state, one.score, one.reason) for trial, one in zip(trials, choice.tried, strict=True)
            )
            chosen = None if choice.chosen is None else trials[choice.chosen]
            choices[variant.levels] = Choice(tried, choice.seeds, choice.metric, chosen)
        if self.study.placebo is not None and self.study.reference.levels in choices:
            choices[self.study.placebo.levels] = choices[self.study.reference.levels]
        return choices

    @cached_property
    def cells(self) -> list[Cell]:
        """The study's cells, their jobs with the inputs that the records of the jobs have."""
        variants = {variant.name: variant for variant in self.study.variants}
        cells = []
        for entry in self.facts.cells:
            recipe = self.recipe(entry)
            jobs: dict[str, Job] = {}
            for stage, key in entry.keys.items():
                record = self.records.get(f"{stage}-{key}")
                jobs[stage] = Job(stage, key, {} if record is None else record.inputs, dict(jobs), recipe)
            variant = variants.get(entry.variant)
            if variant is None:
                raise UserError(f"{BundleFacts.FILE}: cell '{entry.name}' is of no variant of the study")
            cells.append(Cell(variant, entry.seed, recipe, tuple(jobs.values()), self.choices.get(variant.levels)))
        return cells

    @property
    def is_given(self) -> bool:
        """Whether predictions are compared that were given: they have no recipes and no jobs."""
        return self.facts.study.design == facts.GIVEN

    def _given(self) -> Results:
        """Read the results of given predictions."""
        compared = self.facts.study
        points = {entry.name: Point(entry.name, entry.levels) for entry in compared.variants}
        comparison = Comparison(
            name=compared.name,
            design=compared.design,
            seeds=compared.seeds,
            axes=dict(compared.axes),
            variants=tuple(points.values()),
            metric=compared.metric,
            protocol=compared.protocol,
            reference=next(point for point in points.values() if point.levels == compared.reference),
            full=compared.full,
            notes=compared.notes,
            earlier=compared.earlier,
            smallest=compared.smallest,
        )
        folders = [self.job("evaluate", cell.keys["evaluate"]) for cell in self.facts.cells]
        cells = []
        for cell, folder in zip(self.facts.cells, folders, strict=True):
            replicate = GivenReplicate(points[cell.variant], cell.seed, cell.keys["evaluate"])
            cells.append(CellResult(replicate, cell.state, cell.reason, scores=GivenScores.read(folder)))
        return gather(comparison, cells, folders, compared.protocols, None)

    @cached_property
    def results(self) -> Results:
        """The results of the cells, read from the scores of each image."""
        if self.is_given:
            return self._given()
        store = Store(self.folder)
        results = [
            read_done(cell, store)
            if entry.state == "done"
            else CellResult(cell, entry.state, entry.reason, damaged=entry.damaged)
            for cell, entry in zip(self.cells, self.facts.cells, strict=True)
        ]
        folders = [store.folder(cell.jobs[-1]) for cell in self.cells]
        gathered = gather(self.study, results, folders, self.facts.study.protocols, self.folder)
        return gathered if self.study.adaptive is None else as_played(gathered)
