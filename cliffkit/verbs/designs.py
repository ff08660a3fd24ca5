"""Under what a study was reported before: a look at results spends alpha, and a choice made after it is no plan."""

from __future__ import annotations

from collections.abc import Sequence

from cliffkit.errors import UserError
from cliffkit.store.artifacts import ReportedChoices, StudyDesigns
from cliffkit.study.results import Results
from cliffkit.study.study import spelt_seeds
from cliffkit.verbs.opened import OpenedStudy


def earlier_designs(work: OpenedStudy) -> tuple[str, ...]:
    """Say in sentences what of a study is not as in earlier reports of the same cells.

    To go back to what the first report had is no such case: that was chosen before any look.
    """
    kept = _reported(work)
    if kept is None:
        return ()
    now = spelt_seeds(work.study)
    seeds = _new_design(now, kept.designs) if _is_adaptive(now, *kept.designs) else _other_list(now, kept.designs)
    return (*seeds, *_other_choices(_choices(work), kept.compared[:1]))


def keep_design(work: OpenedStudy, results: Results) -> None:
    """Write down under what a study was reported, where the report has a score."""
    if not results.done:
        return
    kept, choices = _reported(work), _choices(work)
    designs, compared = ((), ()) if kept is None else (kept.designs, kept.compared)
    new = StudyDesigns(
        _reference(work), tuple(dict.fromkeys((*designs, choices.seeds))), tuple(dict.fromkeys((*compared, choices)))
    )
    if new != kept:
        new.write(work.folder)


def _is_adaptive(*spelt: str) -> bool:
    return any(seeds.startswith("{") for seeds in spelt)


def _new_design(now: str, reported: Sequence[str]) -> tuple[str, ...]:
    """Say that other designs were looked at: each has bounds of its own, and none allows for another."""
    earlier = [seeds for seeds in reported if seeds != now]
    if not earlier:
        return ()
    return (
        f"seeds: {now} is a new design, for cells that were reported under {' and '.join(earlier)} before. Its 5 % are "
        "its own: verdicts of the earlier report do not carry over, and to look at both errs in more than 5 %",
    )


def _other_list(now: str, reported: Sequence[str]) -> tuple[str, ...]:
    """Say that seeds were added or taken after a report that had verdicts; one of one seed has none to stop at."""
    before = reported[: reported.index(now)] if now in reported else reported
    earlier = [seeds for seeds in before if "," in seeds]
    if not earlier:
        return ()
    return (
        f"seeds: {now} follows a report under {' and '.join(earlier)}. Each report errs in 5 % by itself; seeds that "
        "are added or taken until a difference shows err in more. Choose a list before the study, or let "
        "`seeds: {from: 3, to: 10}` allow for the looks",
    )


def _other_choices(now: ReportedChoices, first: Sequence[ReportedChoices]) -> tuple[str, ...]:
    """Say which choices are not those of the first report, where it is known."""
    names = ("metric", "protocol", "reference", "smallest")
    pairs = [(name, getattr(now, name), getattr(one, name)) for one in first for name in names]
    changes = [
        f"compare.{name} is {_spelt(ours)} and was {_spelt(theirs)}" for name, ours, theirs in pairs if ours != theirs
    ]
    if not changes:
        return ()
    return (
        f"{', '.join(changes)} in the first report of these cells: a choice that is made after a look at the results "
        "may be made for what they show, and neither intervals nor p allow for that",
    )


def _spelt(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else f"{value}"


def _choices(work: OpenedStudy) -> ReportedChoices:
    study = work.study
    return ReportedChoices(spelt_seeds(study), study.metric, study.protocol, study.reference.name, study.smallest)


def _reported(work: OpenedStudy) -> StudyDesigns | None:
    """Read under what the same cells were reported; None where nothing is known of that.

    The file names a network of the reference of its time, which may be another variant now.
    """
    try:
        kept = StudyDesigns.read(work.folder)
    except UserError:  # none yet, or damaged: then nothing is known of earlier reports
        return None
    networks = {cell.jobs[-1].needs["depth"].key for cell in work.board.cells}
    return kept if kept.reference in networks else None


def _reference(work: OpenedStudy) -> str:
    """Give the key of the first network of the reference: other data or settings spend no alpha of these."""
    levels = work.study.reference.levels
    cell = next(cell for cell in work.board.cells if cell.variant.levels == levels)
    return cell.jobs[-1].needs["depth"].key
