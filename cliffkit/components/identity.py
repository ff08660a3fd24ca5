"""What a part's code is: a hash of its module and of the modules of its own distribution that it imports.

A module's hash is that of its syntax, with the hashes of the modules that it imports in the places where it imports
them, as in a Merkle tree. Names of packages and files therefore do not count, only what is in them; what other
distributions give (torch, timm) counts by the text of the import.
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
    """What it is made from, by module; None for a module that may be absent and is."""
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
        now = {name: read(name) for name in self.sources}
        modules = [
            name if source is None else source.where
            for name, source in self.sources.items()
            if _digest(now[name]) != _digest(source)
        ]
        return [*modules, *(path for path, digest in self.files.items() if _file_digest(Path(path)) != digest)]


def identify(reference: str, own: frozenset[str], read: Read = read_source) -> Identity:
    """Work out the identity of `package.module:Class`; `own`: the top-level packages of its distribution.

    Raises UserError for a module that cannot be found or read.
    """
    module, _, attribute = reference.partition(":")
    if not is_own(module, own):  # a part that is another distribution's, as it stands
        return Identity(_hash(reference), module, {}, {}, {}, (module.partition(".")[0],))
    graph = _Graph(own, read)
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
    """Give the top-level packages of the distribution that a module belongs to, without the engine.

    An editable installation may not list any; then the module's own package is all.
    """
    top = module.partition(".")[0]
    try:
        found = importlib.metadata.distribution(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):  # ValueError: it has no name
        return frozenset({top})
    named = set((found.read_text("top_level.txt") or "").split())
    for path in found.files or ():
        name = path.parts[0] if len(path.parts) > 1 else inspect.getmodulename(path)
        if name is not None and name.isidentifier():
            named.add(name)
    packages = {name for name in named if not name.startswith("__")}  # as __pycache__
    return frozenset({top, *packages} - {ENGINE})


def explain(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Say which modules differ, with a short difference of each; both by module, comments of no account."""
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
    """What is taken from a module; empty: the module itself."""
    modules: tuple[str, ...]
    """The modules whose code it runs or takes from; none where the module may be absent and is."""


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

    def __init__(self, own: frozenset[str], read: Read) -> None:
        self.nodes: dict[str, _Node] = {}
        self.absent: set[str] = set()
        self._own = own
        self._read = functools.cache(read)

    def follow(self, start: Import, place: str) -> tuple[str, ...]:
        """Add whatever an import leads to, directly or not; returns the modules that it names itself."""
        first = self._target(start, place).modules
        waiting = list(first)
        while waiting:
            name = waiting.pop()
            if name in self.nodes:
                continue
            source = self._read(name)
            assert source is not None
            syntax = self._syntax(source)
            targets = tuple(self._target(each, f"{source.where}:{each.line}") for each in syntax.imports)
            self.nodes[name] = _Node(source, syntax, _files(source, syntax), targets)
            waiting += (module for target in targets for module in target.modules)
        return first

    def hashes(self, own: Mapping[str, str]) -> dict[str, str]:
        """Hash each module with all that it imports, of the hashes that the modules have by themselves.

        The hashes of imported modules are filled in round by round, as many rounds as there are modules. So modules
        that import each other need no order among them.
        """
        found = dict.fromkeys(self.nodes, "")
        for _ in self.nodes:
            before, found = found, {}
            for name, node in self.nodes.items():
                imported = [[taken, *(before[module] for module in modules)] for taken, modules in node.targets]
                found[name] = _hash([own[name], imported])
            if found == before:
                break
        return found

    def _syntax(self, source: Source) -> Syntax:
        try:
            return read_syntax(source.text or "", source.module, source.package, self._own)
        except SyntaxError as error:
            raise UserError(f"{source.where}:{error.lineno}: is no Python: {error.msg}; mend the file") from error
        except ImportError as error:
            raise UserError(f"{source.where}: {error}; mend the import") from error

    def _target(self, wanted: Import, place: str) -> Target:
        source = self._read(wanted.module)
        if source is None:
            if wanted.tried:
                self.absent.add(wanted.module)
                return Target(wanted.name, ())
            raise UserError(f"{place}: imports {wanted.module}, which cannot be found; install it, or mend the import")
        inner = f"{wanted.module}.{wanted.name}"
        if not wanted.name or self._read(inner) is None:
            return Target(wanted.name, (*self._above(wanted.module), wanted.module))
        if wanted.name in self._syntax(source).names:  # what the package calls so may be another thing than the module
            return Target(wanted.name, tuple(dict.fromkeys((*self._above(inner), wanted.module, inner))))
        return Target("", (*self._above(inner), inner))

    def _above(self, module: str) -> Iterator[str]:
        """Give the packages above a module, as far as there is code in them that importing the module runs."""
        parts = module.split(".")[:-1]
        for n in range(1, len(parts) + 1):
            name = ".".join(parts[:n])
            source = self._read(name) if is_own(name, self._own) else None
            if source is not None and self._syntax(source).computes:
                yield name


def _content(node: _Node) -> str:
    return node.source.digest if node.source.text is None else node.syntax.digest


def _files(source: Source, syntax: Syntax) -> dict[str, str]:
    """Give the data files beside a module whose names stand in it as texts."""
    if source.path is None:
        return {}
    found = {}
    for name in sorted(syntax.strings):
        path = source.path.parent / name
        digest = None if path.suffix == ".py" or Path(name).is_absolute() else _file_digest(path)
        if digest is not None:
            found[str(path)] = digest
    return found


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
