"""A cache for work whose inputs are objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Once:
    """A cache of results by a name and by the objects that they were made from, compared by identity.

    The cache keeps the objects alive, so that Python cannot use their ids for other objects.
    """

    def __init__(self) -> None:
        self._cache: dict[tuple[object, ...], tuple[Any, tuple[object, ...]]] = {}

    def __call__(self, name: str, sources: tuple[object, ...], make: Callable[[], T]) -> T:
        """Give the cached result for a name and sources; the first call computes it with `make`.

        The sources must not change: the cache would not notice.
        """
        key = (name, *map(id, sources))
        if key not in self._cache:
            self._cache[key] = make(), sources
        result: T = self._cache[key][0]
        return result
