"""A bundle checked: by what is in it alone, and by training some of its cells again."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from cliffkit.bundles.archive import find_changed, unpack
from cliffkit.bundles.checks import Check, few, plainly
from cliffkit.bundles.facts import BundleFacts
from cliffkit.bundles.given import check_predictions
from cliffkit.bundles.keys import check_keys, other_built_in
from cliffkit.bundles.numbers import check_numbers, check_scores
from cliffkit.bundles.one_recipe import check_one_recipe, check_replicates
from cliffkit.bundles.opened import OpenedBundle
from cliffkit.bundles.readme import missing
from cliffkit.bundles.retrain import Again, check_again
from cliffkit.components.load import Plugins
from cliffkit.errors import UserError
from cliffkit.verbs.inputs import AnyPath, Data, Progress, folders, installed_plugins, path_of
from cliffkit.verbs.score import telling

OF_A_STUDY = (check_keys, check_one_recipe, check_replicates, check_scores, check_numbers)

OF_GIVEN = (check_predictions, check_scores, check_numbers)
"""What can be checked of predictions that were given."""


@dataclass(frozen=True)
class Verification:
    """What became of the checks of a bundle: what was compared, and what does not hold."""

    file: Path
    facts: BundleFacts | None
    """What the bundle says is in it; None where that cannot be read."""
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    @property
    def faults(self) -> list[str]:
        """Everything that does not hold, each with its place."""
        return [fault for check in self.checks for fault in check.faults]

    @property
    def missing(self) -> list[str]:
        """The cells of the study that are not in the bundle and why, a sentence for each reason."""
        return [] if self.facts is None else missing(self.facts)


def verify(
    file: AnyPath,
    *,
    retrain: int = 0,
    data: Data | None = None,
    device: str = "auto",
    progress: Progress = True,
    plugins: Plugins | None = None,
) -> Verification:
    """Check a bundle that `cliffkit.bundle` wrote. Needs neither the store nor data, weights or parts of others.

    Args:
        file: the bundle.
        retrain: so many of its cells are trained again, which needs the data and the parts. The bundle's own checksums
            choose them, one of each variant before a second of any. Scores must be equal to the bit on the same kind
            of machine with the same versions; elsewhere within 4 standard deviations between the study's seeds.
        data: folders of data sets by the data sets' names, for cells that are trained again.
        device: where they are trained.
        progress: whether to show it, or a function that is called with every event of `cliffkit.events`.
        plugins: those to train with, and whose built-in parts are compared; by default the installed ones.


    Compares every file with its checksum, every number of the report with the scores of the images, the keys with the
    recipes and parts of the cells, and the recipes of variants and replicates with each other. No code of the bundle
    is run.

    Raises UserError where the file is no bundle. What does not hold is no error: `faults` names it.

    Example: `assert cliffkit.verify("cliffnet.bundle.zip").holds`.
    """
    path = path_of(file, "file")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        unpack(path, folder)
        count = sum(entry.is_file() for entry in folder.rglob("*")) - 1
        sums = Check("checksums", f"{count} files with SHA256SUMS", tuple(few(find_changed(folder))))
        try:
            opened = OpenedBundle(folder)
        except UserError as error:
            if not (folder / BundleFacts.FILE).exists():
                raise UserError(f"{path}: is no bundle, it has no {BundleFacts.FILE}") from error
            return Verification(
                path, None, (sums, Check("contents", "what is in the bundle", (plainly(error, folder),)))
            )
        checks = [check(opened) for check in (OF_GIVEN if opened.is_given else OF_A_STUDY)]
        plugins = plugins or installed_plugins()
        if not opened.is_given and checks[0].holds:
            others = other_built_in(opened, plugins.registry)
            checks[0] = replace(checks[0], remarks=(*checks[0].remarks, *few(others)))
        if retrain and opened.is_given:
            raise UserError(f"{path}: predictions were given; there is no recipe to train again, leave --retrain out")
        if retrain:
            checks.append(_train_again(opened, retrain, data, device, progress, plugins))
        return Verification(path, opened.facts, (sums, *checks))


def _train_again(
    opened: OpenedBundle, count: int, data: Data | None, device: str, progress: Progress, plugins: Plugins
) -> Check:
    """Train cells again, telling events to the terminal or to the caller."""
    roots = {name: folder.resolve() for name, folder in folders(data, plugins.registry).items()}
    with telling(plugins, progress) as emit:
        return check_again(opened, count, Again(plugins.registry, roots, device, emit))
