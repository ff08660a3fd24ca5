"""The source of a module, found as Python finds it, without importing the module or a package above it."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cliffkit.errors import UserError


@dataclass(frozen=True)
class Source:
    """What a module is made from."""

    module: str
    text: str | None
    """Its source text; None where there is none, as for a compiled extension."""
    digest: str
    """The hash of the text, or of the file's bytes where there is no text."""
    package: bool
    """Whether other modules lie beneath it."""
    path: Path | None
    """Its file, where it has one of its own."""

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return str(self.path or self.module)


def read_source(module: str) -> Source | None:
    """Read a module's source as it stands on the disk now; None where there is no such module. Raises UserError."""
    spec = _find(module)
    if spec is None:
        return None
    path = Path(spec.origin) if spec.has_location and spec.origin else None
    package = spec.submodule_search_locations is not None
    try:
        text = "" if path is None and package else _text(spec, path)  # a namespace package has no file
        content = text.encode() if text is not None else path.read_bytes() if path else b""
    except (OSError, ImportError, SyntaxError, UnicodeError) as error:
        raise UserError(f"{path or module}: the source of {module} cannot be read: {error}; mend the file") from error
    return Source(module, text, hashlib.sha256(content).hexdigest(), package, path)


def _find(module: str) -> importlib.machinery.ModuleSpec | None:
    """Find a module's spec; an imported module has its own. Packages above the module are never imported."""
    loaded = getattr(sys.modules.get(module), "__spec__", None)
    if isinstance(loaded, importlib.machinery.ModuleSpec):
        return loaded
    path: Sequence[str] | None = None
    above, _, _ = module.rpartition(".")
    if above:
        spec = _find(above)
        if spec is None or spec.submodule_search_locations is None:
            return None
        path = getattr(sys.modules.get(above), "__path__", spec.submodule_search_locations)
    try:
        for finder in sys.meta_path:
            candidate = finder.find_spec(module, path)
            if candidate is not None:
                return candidate
    except KeyError:  # a folder without __init__.py, in a package that Python would import to ask for its path
        return _plain_folder(module, path or [])
    return None


def _plain_folder(module: str, path: Sequence[str]) -> importlib.machinery.ModuleSpec:
    spec = importlib.machinery.ModuleSpec(module, None, is_package=True)
    spec.submodule_search_locations = [str(Path(folder) / module.rpartition(".")[2]) for folder in path]
    return spec


def _text(spec: importlib.machinery.ModuleSpec, path: Path | None) -> str | None:
    get_source = getattr(spec.loader, "get_source", None)
    if get_source is not None:
        text: str | None = get_source(spec.name)
        return text
    if path is not None and path.suffix == ".py":  # a loader that keeps its source to itself, as pytest's
        return importlib.util.decode_source(path.read_bytes())
    return None
