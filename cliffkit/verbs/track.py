"""The trackers that a caller asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.interfaces import Tracker
from cliffkit.recipe.check import check_part
from cliffkit.recipe.part import Part

Track = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""Trackers: a name, a mapping with `use` and options, or several of them."""


def open_trackers(registry: Registry, track: Track) -> tuple[Part, ...]:
    """Check trackers, and that each can be built. Raises UserError for what is wrong, such as a missing library."""
    asked = [track] if isinstance(track, str | Mapping) else track
    parts = tuple(check_part("tracker", tracker, registry, "--track") for tracker in asked)
    for part in parts:
        if not isinstance(part.build(), Tracker):
            raise UserError(f"--track: {part.component} gives no cliffkit.interfaces.Tracker; mend the plugin")
    return parts
