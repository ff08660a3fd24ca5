"""Predictions that were not made here, scored as those of a run are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cliffkit.components.load import Plugins
from cliffkit.components.registry import Registry
from cliffkit.display.lines import Terminal
from cliffkit.errors import UserError
from cliffkit.events import Emit, Event, Notice
from cliffkit.jobs.announce import announcer
from cliffkit.prediction.given.index import END
from cliffkit.prediction.given.matching import WAYS
from cliffkit.prediction.given.quantity import quantity_of
from cliffkit.prediction.given.source import Reading
from cliffkit.recipe.evaluate import check_protocol
from cliffkit.verbs.inputs import AnyPath, Data, Progress, installed_plugins, path_of
from cliffkit.verbs.judge import Rules, customary, open_test, score_place
from cliffkit.verbs.scored import Scored


def score(
    predictions: AnyPath,
    protocols: Sequence[str | Mapping[str, Any]] = (),
    *,
    data: Data | None = None,
    dataset: str | Mapping[str, Any] | None = None,
    quantity: str | Mapping[str, Any] = "depth",
    key: str | None = None,
    match: str = "name",
    allow_missing: bool = False,
    out: AnyPath = "scores",
    name: str | None = None,
    progress: Progress = True,
    plugins: Plugins | None = None,
) -> Scored:
    """Score a folder of predictions on the test split of a data set, under every protocol in one pass.

    Args:
        predictions: a folder of .npy, .npz, .exr, .tiff or 16-bit .png, one file per test image; or one .npy of shape
            (images, height, width) in the order of the split. A prediction shows the whole image, at any size.
        protocols: names or mappings, as a recipe has them; by default the one by which the field scores the data set.
        data: folders of data sets by the data sets' names.
        dataset: which data set, a name or a mapping with its options; by default the only one in `data`.
        quantity: what the numbers are: `depth`, `inverse` depth, `disparity`, `distance` from the camera's centre, or a
            mapping with `use` and, as needed, `scale` (stored numbers per metre, 1/m or pixel), `baseline_m`,
            `focal_px`, `camera`.
        key: name of the array in .npz files of several.
        match: `name`; `order`: the n-th file is of the n-th image; or a list, the path of a .csv with the columns
            `image` and `prediction`, paths from the folder of the predictions.
        allow_missing: score the images that have a prediction, and count the others; else a missing one is an error.
        out: folder below which the scores' folder is written, `NAME-KEY`.
        name: of the predictions in tables; by default that of their folder.
        progress: whether to show it, or a function that is called with every event of `cliffkit.events`.
        plugins: those to use; by default the installed ones.

    What is odd about the numbers, such as millimetres read as metres, is told and stored, and nothing is mended.
    Raises UserError for whatever the user can mend.

    Example: `cliffkit.score("theirs/", ["eigen", "eigen+median"], data={"nyu": "data/nyu"}).metrics["eigen"]["rmse"]`.
    """
    plugins = plugins or installed_plugins()
    test = open_test(dataset, data, plugins.registry)
    rules = rules_of(protocols or customary(test), quantity, key, match, allow_missing, out, plugins.registry)
    with telling(plugins, progress, test.unread) as emit:
        return score_place(path_of(predictions, "predictions"), name, test, rules, emit)


def rules_of(
    protocols: Sequence[str | Mapping[str, Any]],
    quantity: str | Mapping[str, Any],
    key: str | None,
    match: str,
    allow_missing: bool,
    out: AnyPath,
    registry: Registry,
) -> Rules:
    """Check what `score` and `compare` are given, but for data and predictions. Raises UserError."""
    if match not in WAYS and not match.endswith(END):
        ways = ", ".join(WAYS)
        raise UserError(f"match: '{match}' is no way to match predictions; there are: {ways}, or a list, a .csv")
    checked = {protocol.name: protocol for protocol in (check_protocol(given, registry) for given in protocols)}
    if len(checked) < len(protocols):
        raise UserError(f"two protocols have one name; there are: {', '.join(checked)}; give one another `name`")
    reading = Reading(quantity_of(quantity), key)
    return Rules(tuple(checked.values()), reading, match, allow_missing, path_of(out, "out"))


@contextmanager
def telling(plugins: Plugins, progress: Progress, notes: Iterable[str] = ()) -> Iterator[Emit]:
    """Give a function that tells events to the terminal, to the caller's own function, and to plugins; notes first."""
    with Terminal(active=progress is True) as terminal:

        def show(event: Event) -> None:
            terminal.show(event)
            if callable(progress):
                progress(event)

        emit = announcer(plugins, show)
        for note in notes:
            emit(Notice(note))
        yield emit
