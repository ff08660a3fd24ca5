"""A study put into one file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cliffkit.bundles.archive import Members, write_archive
from cliffkit.bundles.contents import members_of, members_of_given
from cliffkit.bundles.facts import COMPARISON, README, BundleFacts
from cliffkit.bundles.opened import OpenedBundle
from cliffkit.bundles.readme import missing, readme
from cliffkit.components.load import Plugins
from cliffkit.errors import UserError
from cliffkit.report.summary import summary
from cliffkit.store.files import make_folder
from cliffkit.study.analysis import analyse
from cliffkit.verbs.inputs import AnyPath, Data, Progress, Settings, StudyLike, path_of
from cliffkit.verbs.opened import BUILT_IN, open_study
from cliffkit.verbs.study_report import command_again, publish_cells, report_results

SUFFIX = ".bundle.zip"


@dataclass(frozen=True)
class Bundle:
    """A study in one file, which `cliffkit.verify` checks."""

    file: Path
    facts: BundleFacts
    """What is in it, as its bundle.json says."""
    sizes: dict[str, tuple[int, int]]
    """Number of files and their bytes before packing, by what they are."""

    @property
    def missing(self) -> list[str]:
        """The cells that are not in it and why, a sentence for each reason."""
        return missing(self.facts)


def bundle(
    study: StudyLike = BUILT_IN,
    out: AnyPath | None = None,
    *,
    set: Settings = (),
    data: Data | None = None,
    runs: AnyPath = "runs",
    device: str = "auto",
    weights: bool = False,
    progress: Progress = True,
    plugins: Plugins | None = None,
) -> Bundle:
    """Put what is done of a study into one file that others can verify. Trains nothing; writes the report anew.

    Args:
        study: as for `ablate`, and so are `set`, `data` and `runs`: give what `ablate` was given. Or the folder of a
            comparison that `compare` made; nothing else is needed then.
        out: the file; by default the study's name with the end .bundle.zip in the working folder.
        device: where networks predict the pictures of the report.
        weights: whether the weights of the cells go into it too. Data never do.
        progress: whether to show it.
        plugins: those to use; by default the installed ones.

    The same study gives the same bytes. Errors as for `ablate`, and a UserError where no cell is done.

    Example: `cliffkit.bundle("cliffnet", "cliffnet.bundle.zip").missing`.
    """
    if not isinstance(study, Mapping) and (Path(study) / COMPARISON).is_file():
        return _of_given(Path(study), out)
    work = open_study(study, set, data, runs, plugins)
    if not any(work.board.cell_state(cell) == "done" for cell in work.board.cells):
        raise UserError(
            f"{work.study.name}: no cell is done, so there is nothing to bundle; give every --set that `cliffkit "
            "ablate` was given, or run it first"
        )
    publish_cells(work)
    findings = report_results(work, device, progress, keep=True)
    trials = [] if work.trials is None else work.trials.cells
    command = command_again(work)
    facts, members = members_of(findings.results, trials, findings.folder, findings.summary, command, weights)
    return _written(facts, members, out)


def _of_given(folder: Path, out: AnyPath | None) -> Bundle:
    """Bundle a comparison of given predictions, with its report as it lies in the comparison's folder."""
    facts, members = members_of_given(folder)
    with tempfile.TemporaryDirectory() as temporary:
        for name, content in members.items():
            path = Path(temporary) / name
            make_folder(path.parent)
            path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        results = OpenedBundle(Path(temporary)).results
    members[README] = readme(facts, summary(results, analyse(results))).encode()
    return _written(facts, members, out)


def _written(facts: BundleFacts, members: Members, out: AnyPath | None) -> Bundle:
    """Write the file, and count what is in it."""
    file = path_of(out, "out") if out is not None else Path(f"{facts.study.name}{SUFFIX}")
    write_archive(file, members)
    sizes: dict[str, tuple[int, int]] = {}
    for name, content in members.items():
        group = name.partition("/")[0] if "/" in name else name
        count, size = sizes.get(group, (0, 0))
        sizes[group] = count + 1, size + (len(content) if isinstance(content, bytes) else content.stat().st_size)
    return Bundle(file, facts, sizes)
