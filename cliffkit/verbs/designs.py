"""The designs of seeds under which a study was reported: a look at the results spends the alpha of its design."""

from __future__ import annotations

from cliffkit.errors import UserError
from cliffkit.store.artifacts import StudyDesigns
from cliffkit.study.results import Results
from cliffkit.study.study import spelt_seeds
from cliffkit.verbs.opened import OpenedStudy


def earlier_designs(work: OpenedStudy) -> tuple[str, ...]:
    """Say in a sentence that the same cells were reported under other designs; nothing where that spends no alpha.

    A list of seeds that grows is no such case: no look at it claims to allow for the others.
    """
    now, earlier = spelt_seeds(work.study), [seeds for seeds in _reported(work) if seeds != spelt_seeds(work.study)]
    if not earlier or not (work.study.adaptive or any(seeds.startswith("{") for seeds in earlier)):
        return ()
    return (
        f"seeds: {now} is a new design, for cells that were reported under {' and '.join(earlier)} before. Its 5 % are "
        "its own: verdicts of the earlier report do not carry over, and to look at both errs in more than 5 %",
    )


def keep_design(work: OpenedStudy, results: Results) -> None:
    """Write down that a study was reported under its design, where the report has a score."""
    reported = _reported(work)
    seeds = spelt_seeds(work.study)
    if results.done and seeds not in reported:
        StudyDesigns(_reference(work), (*reported, seeds)).write(work.folder)


def _reported(work: OpenedStudy) -> tuple[str, ...]:
    """Give the designs under which the same cells were reported."""
    try:
        kept = StudyDesigns.read(work.folder)
    except UserError:  # none yet, or damaged: then nothing is known of earlier reports
        return ()
    return kept.designs if kept.reference == _reference(work) else ()


def _reference(work: OpenedStudy) -> str:
    """Give the key of the first network of the reference: other data or settings spend no alpha of these."""
    levels = work.study.reference.levels
    cell = next(cell for cell in work.board.cells if cell.variant.levels == levels)
    return cell.jobs[-1].needs["depth"].key
