"""The identity of a part's code: a hash of its module and of the modules of its own distribution that it imports.

A module's hash is the hash of its syntax tree. An import in the tree is replaced by the hash of the imported module, as
in a Merkle tree. So the contents of modules count, not their names or paths. Modules of other distributions (torch,
timm) count only by the text of the import.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib.metadata
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cliffkit.components.source import Source, read_source
from cliffkit.components.syntax import ENGINE, Import, Syntax, is_own, read_syntax
from cliffkit.errors import UserError

Read = Callable[[str], Source | None]

DIFF_LINES = 20


@dataclass(frozen=True)
class Identity:
    """The code of a part."""

    code: str
    """The hash that stands in keys."""
    where: str
    """The file of its module."""
    sources: Mapping[str, Source | None]
    """Its sources by module; None for an optional module that is absent."""
    modules: Mapping[str, str]
    """The hash of each module, without what the module imports."""
    files: Mapping[str, str]
    """Hashes of the data files that its modules name, by their paths."""
    others: tuple[str, ...]
    """Top-level packages of other distributions that it imports."""

    @property
    def texts(self) -> dict[str, str]:
        """The texts of its modules, as far as they have any."""
        texts = {name: source.text for name, source in self.sources.items() if source is not None}
        return {name: text for name, text in texts.items() if text is not None}

    def changed(self, read: Read = read_source) -> list[str]:
        """List the files that hold another text now, comments included."""
        current = {name: read(name) for name in self.sources}
        modules = [
            name if source is None else source.where
            for name, source in self.sources.items()
            if _digest(current[name]) != _digest(source)
        ]
        return [*modules, *(path for path, digest in self.files.items() if _file_digest(Path(path)) != digest)]


def identify(reference: str, top_packages: frozenset[str], read: Read = read_source) -> Identity:
    """Work out the identity of `package.module:Class`.

    `top_packages` are the top-level packages of its distribution. Raises UserError for a module that cannot
    be found or read.
    """
    module, _, attribute = reference.partition(":")
    if not is_own(module, top_packages):  # another distribution's part counts by its reference alone
        return Identity(_hash(reference), module, {}, {}, {}, (module.partition(".")[0],))
    graph = _Graph(top_packages, read)
    roots = graph.follow(Import(module, "", 0, tried=False), reference)
    own_hashes = {name: _hash([_content(node), *node.files.values()]) for name, node in graph.nodes.items()}
    hashes = graph.hashes(own_hashes)
    code = _hash([attribute, *(hashes[name] for name in roots)])
    files = {path: digest for node in graph.nodes.values() for path, digest in node.files.items()}
    others = sorted({name for node in graph.nodes.values() for name in node.syntax.others})
    sources = {**dict.fromkeys(graph.absent), **{name: node.source for name, node in graph.nodes.items()}}
    return Identity(code, graph.nodes[module].source.where, sources, own_hashes, files, tuple(others))


@functools.cache
def own_packages(module: str, distribution: str) -> frozenset[str]:
    """Give the top-level packages of the distribution that a module belongs to, without the engine's.

    An editable installation may not list any; then the result is the module's own package.
    """
    top = module.partition(".")[0]
    try:
        installed = importlib.metadata.distribution(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):  # ValueError: it has no name
        return frozenset({top})
    named = set((installed.read_text("top_level.txt") or "").split())
    for path in installed.files or ():
        name = path.parts[0] if len(path.parts) > 1 else inspect.getmodulename(path)
        if name is not None and name.isidentifier():
            named.add(name)
    packages = {name for name in named if not name.startswith("__")}  # as __pycache__
    return frozenset({top, *packages} - {ENGINE})


def explain(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """List the modules that differ, each with a short diff. Arguments are texts by module; comments do not count."""
    parts = []
    for module in sorted(old.keys() | new.keys()):
        before, after = old.get(module), new.get(module)
        if before is None or after is None:
            parts.append(f"{module} {'is new' if before is None else 'is gone'}")
        elif _plain(before) != _plain(after):
            lines = list(
                difflib.unified_diff(
                    before.splitlines(), after.splitlines(), f"{module}, then", f"{module}, now", lineterm="", n=1
                )
            )
            more = [f"... {len(lines) - DIFF_LINES} more lines"] if len(lines) > DIFF_LINES else []
            parts.append("\n".join([*lines[:DIFF_LINES], *more]))
    return "\n".join(parts) or "what differs is a compiled module or a file of data"


def _plain(text: str) -> str:
    """Give a module's syntax without regard to where its imports lead."""
    try:
        return read_syntax(text, "module", True, frozenset()).digest
    except (SyntaxError, ImportError):
        return text


class Target(NamedTuple):
    """What an import leads to."""

    attribute: str
    """Name that is taken from a module; empty for the module itself."""
    modules: tuple[str, ...]
    """The modules whose code it runs or takes a name from; empty for an optional module that is absent."""


@dataclass(frozen=True)
class _Node:
    source: Source
    syntax: Syntax
    files: Mapping[str, str]
    """Data files by path."""
    targets: tuple[Target, ...]
    """What each of the syntax's imports leads to."""


class _Graph:
    """The modules that a part reaches."""

    def __init__(self, top_packages: frozenset[str], read: Read) -> None:
        self.nodes: dict[str, _Node] = {}
        self.absent: set[str] = set()
        self._top_packages = top_packages
        self._read = functools.cache(read)

    def follow(self, start: Import, place: str) -> tuple[str, ...]:
        """Add all modules that an import leads to, directly or not; returns the modules that it names itself."""
        first = self._target(start, place).modules
        waiting = list(first)
        while waiting:
            name = waiting.pop()
            if name in self.nodes:
                continue
            source = self._read(name)
            assert source is not None
            syntax = self._syntax(source)
            targets = tuple(self._target(entry, f"{source.where}:{entry.line}") for entry in syntax.imports)
            self.nodes[name] = _Node(source, syntax, _files(source, syntax), targets)
            waiting += (module for target in targets for module in target.modules)
        return first

    def hashes(self, module_hashes: Mapping[str, str]) -> dict[str, str]:
        """Hash each module with all that it imports. `module_hashes` are those of the modules alone.

        Every round inserts the hashes of the round before for imported modules, in as many rounds as there are modules.
        So modules may import each other.
        """
        hashes = dict.fromkeys(self.nodes, "")
        for _ in self.nodes:
            before, hashes = hashes, {}
            for name, node in self.nodes.items():
                imported = [[attribute, *(before[module] for module in modules)] for attribute, modules in node.targets]
                hashes[name] = _hash([module_hashes[name], imported])
            if hashes == before:
                break
        return hashes

    def _syntax(self, source: Source) -> Syntax:
        try:
            return read_syntax(source.text or "", source.module, source.package, self._top_packages)
        except SyntaxError as error:
            raise UserError(f"{source.where}:{error.lineno}: is no Python: {error.msg}; mend the file") from error
        except ImportError as error:
            raise UserError(f"{source.where}: {error}; mend the import") from error

    def _target(self, entry: Import, place: str) -> Target:
        source = self._read(entry.module)
        if source is None:
            if entry.tried:
                self.absent.add(entry.module)
                return Target(entry.name, ())
            raise UserError(f"{place}: imports {entry.module}, which cannot be found; install it, or mend the import")
        inner = f"{entry.module}.{entry.name}"
        if not entry.name or self._read(inner) is None:
            return Target(entry.name, (*self._above(entry.module), entry.module))
        if entry.name in self._syntax(source).names:  # in the package this name may mean another object
            return Target(entry.name, tuple(dict.fromkeys((*self._above(inner), entry.module, inner))))
        return Target("", (*self._above(inner), inner))

    def _above(self, module: str) -> Iterator[str]:
        """Give the packages above a module, as far as there is code in them that importing the module runs."""
        parts = module.split(".")[:-1]
        for n in range(1, len(parts) + 1):
            name = ".".join(parts[:n])
            source = self._read(name) if is_own(name, self._top_packages) else None
            if source is not None and self._syntax(source).computes:
                yield name


def _content(node: _Node) -> str:
    return node.source.digest if node.source.text is None else node.syntax.digest


def _files(source: Source, syntax: Syntax) -> dict[str, str]:
    """Give the data files beside a module whose names stand in it as texts."""
    if source.path is None:
        return {}
    digests = {}
    for name in sorted(syntax.strings):
        path = source.path.parent / name
        digest = None if path.suffix == ".py" or Path(name).is_absolute() else _file_digest(path)
        if digest is not None:
            digests[str(path)] = digest
    return digests


def _file_digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _digest(source: Source | None) -> str | None:
    return None if source is None else source.digest


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:20]
