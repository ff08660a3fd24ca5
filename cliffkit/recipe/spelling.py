"""Short and former spellings of how a stage is trained, brought into the full form before they are checked.

`schedule: step` with `milestones` and `decay` beside it is `{use: step, milestones: ..., decay: ...}`, and the mapping
`augment: {flip: 0.5, brightness: 0.2}` is the list `[{use: flip, ...}, {use: color_jitter, ...}]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from cliffkit.recipe.yamlstrict import Path_

STEP = ("milestones", "decay")
"""Options of schedule `step` that may stand beside its name."""

JITTER = ("brightness", "contrast", "saturation")

AUGMENT = ("flip", *JITTER)
"""Keys of the mapping that `augment` may be."""

SHARES: Mapping[str, Mapping[str, float]] = {
    "depth": {"flip": 0.5, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4},
    "embedding": {"flip": 0.5, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0},
}
"""Values of the mapping's keys that are not written, by stage."""


class Spelled(NamedTuple):
    """A part in the full form."""

    data: Any
    places: Mapping[str, Path_] = {}
    """Where options are written that do not stand in the part itself."""


def settings(data: Mapping[str, Any], parts: tuple[str, ...]) -> dict[str, Any]:
    """Give the keys of a stage that are neither parts nor options of a schedule that is named alone."""
    beside = STEP if isinstance(data.get("schedule", ""), str) else ()
    return {key: value for key, value in data.items() if key not in (*parts, *beside)}


def schedule(data: Mapping[str, Any], path: Path_) -> Spelled:
    """Spell the schedule of a stage. Only the name `step` takes options from beside it."""
    written = data.get("schedule", "cosine")
    beside = [key for key in STEP if key in data] if written == "step" else []
    if not beside:
        return Spelled(written)
    return Spelled({"use": written, **{key: data[key] for key in beside}}, {key: (*path, key) for key in beside})


def augment(written: Mapping[str, Any], stage: str, path: Path_) -> list[Spelled]:
    """Spell the mapping of shares as steps. Steps at the end that do nothing are left out."""
    shares = {**SHARES[stage], **written}
    colours = {key: shares[key] for key in JITTER}
    steps = []
    if shares["flip"] or any(colours.values()):  # colours keep their draws where a flip of 0 is before them
        steps.append(Spelled({"use": "flip", "probability": shares["flip"]}, {"probability": (*path, "flip")}))
    if any(colours.values()):
        steps.append(Spelled({"use": "color_jitter", **colours}, {key: (*path, key) for key in JITTER}))
    return steps
