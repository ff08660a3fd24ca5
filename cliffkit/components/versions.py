"""Which versions of other distributions a part computes with."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Give the versions, by name, of the installed distributions that provide top-level packages."""
    versions: dict[str, str] = {}
    for package in sorted(set(packages)):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # as PIL, of the distribution pillow
            versions.update({name: importlib.metadata.version(name) for name in _distributions().get(package, ())})
    return versions


@functools.cache
def _distributions() -> Mapping[str, Sequence[str]]:
    """List distributions by top-level package. Reads the metadata of every distribution, which may take a second."""
    return importlib.metadata.packages_distributions()
