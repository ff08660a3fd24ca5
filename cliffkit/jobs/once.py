"""Work done once for the same objects, however often it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Once:
    """What was made of which objects. It holds them, so that their ids stay their own."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], tuple[Any, tuple[object, ...]]] = {}

    def __call__(self, what: str, of: tuple[object, ...], make: Callable[[], T]) -> T:
        """Give what `make` gave when `what` was first asked for of these very objects, which have not changed since."""
        key = (what, *map(id, of))
        if key not in self._made:
            self._made[key] = make(), of
        made: T = self._made[key][0]
        return made
