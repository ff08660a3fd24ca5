"""Which versions of other distributions a part computes with."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Find the distributions that give top-level packages; their versions by name, what is not installed left out."""
    found: dict[str, str] = {}
    for package in sorted(set(packages)):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # as PIL, of the distribution pillow
            found.update({name: importlib.metadata.version(name) for name in _distributions().get(package, ())})
    return found


@functools.cache
def _distributions() -> Mapping[str, Sequence[str]]:
    """By top-level package. Reads what every distribution says of itself: that may take a second."""
    return importlib.metadata.packages_distributions()
