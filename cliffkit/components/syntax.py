"""The content of a module without its notation: its syntax tree as a hash, the same in every version of Python.

Comments, docstrings, blank lines, quotes and positions do not count. A plugin's hooks do not count either, since they
name parts and compute nothing; nor does code under `if TYPE_CHECKING:`, which is never run. An import of a module of
the same distribution is a gap in the tree. The gap is filled with the hash of that module, so that no path enters.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cliffkit.components.statements import called_paths, computes, counted, names_in

ENGINE = "cliffkit"

SHARED = ("cliffkit.layers", "cliffkit.resizing", "cliffkit.images", "cliffkit.cameras")
"""Modules of the engine that compute outputs of parts. They count as modules of every part that imports them."""

_FILE_NAME = re.compile(r"[^\n\0]{1,200}\.\w{1,10}")

_IGNORED = {"ctx", "type_comment", "type_ignores", "kind"}
"""Fields that follow from the position of a node, that are comments, or that tell u"" from ""."""


@dataclass(frozen=True)
class Import:
    """An import of a module of the same distribution."""

    module: str
    name: str
    """The attribute or module taken from it; empty: the module itself, `*`: everything."""
    line: int
    tried: bool
    """Whether it stands in a `try`, so that the module may be absent."""


@dataclass(frozen=True)
class Syntax:
    """The content of a module."""

    digest: str
    imports: tuple[Import, ...]
    """The gaps in the tree, in order."""
    others: frozenset[str]
    """Top-level packages of other distributions that it imports."""
    strings: frozenset[str]
    """Texts in it that may be the names of files."""
    names: frozenset[str]
    """What its outermost statements define or import."""
    computes: bool
    """Whether there is more in it than imports and hooks."""


@functools.lru_cache(maxsize=4096)
def read_syntax(text: str, module: str, package: bool, top_packages: frozenset[str]) -> Syntax:
    """Read a module's text. `top_packages` are its distribution's. Raises SyntaxError, ImportError."""
    tree = ast.parse(text)
    writer = _Writer(tree, module if package else module.rpartition(".")[0], top_packages)
    writer.write(tree)
    digest = hashlib.sha256("".join(writer.out).encode()).hexdigest()
    others = frozenset(writer.others - sys.stdlib_module_names)
    names, runs = frozenset(names_in(tree.body)), any(map(computes, counted(tree.body)))
    return Syntax(digest, tuple(writer.imports), others, frozenset(writer.strings), names, runs)


def is_own(module: str, top_packages: frozenset[str]) -> bool:
    """Whether a module counts by its code where it is imported."""
    return module.partition(".")[0] in top_packages or any(f"{module}.".startswith(f"{shared}.") for shared in SHARED)


class _Writer:
    """Writes a tree as text, gaps where modules of the same distribution are meant."""

    def __init__(self, tree: ast.Module, package: str, top_packages: frozenset[str]) -> None:
        self.out: list[str] = []
        self.imports: list[Import] = []
        self.others: set[str] = set()
        self.strings: set[str] = set()
        self._package, self._top_packages, self._tries = package, top_packages, 0
        self._paths = {path for path in called_paths(tree) if is_own(path, top_packages)}
        """Modules of the distribution that the code calls by their path, as after `import package.module`."""
        self._special: Mapping[Any, Callable[[Any], bool]] = {
            ast.Attribute: self._path,
            ast.Constant: self._constant,
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            ast.JoinedStr: self._joined,
            ast.Name: self._path,
            ast.Try: self._try,
            ast.TryStar: self._try,
        }

    def write(self, value: Any) -> None:
        """Write a node, a list of them, or a field's plain value."""
        if isinstance(value, ast.AST):
            special = self._special.get(type(value))
            if special is None or not special(value):
                self._node(value)
        elif isinstance(value, list):
            self.out.append("[")
            for item in counted(value) if value and isinstance(value[0], ast.stmt) else value:
                self.write(item)
                self.out.append(",")
            self.out.append("]")
        elif isinstance(value, int) and not isinstance(value, bool):
            self.out.append(f"{value:#x}")  # Python refuses to write very long integers in tens
        elif isinstance(value, float | complex):
            self.out.append(repr(value))
        else:
            self.out.append(ascii(value))

    def _node(self, node: ast.AST) -> None:
        self.out.append(f"{type(node).__name__}(")
        for field in _sorted_fields(node._fields):
            value = getattr(node, field, None)
            if value is None or (isinstance(value, list) and not value):
                continue  # fields that newer versions of Python add are empty where nothing new is used
            self.out.append(f"{field}=")
            self.write(value)
            self.out.append(",")
        self.out.append(")")

    def _gap(self, module: str, name: str, line: int, tried: bool) -> None:
        self.imports.append(Import(module, name, line, tried))
        self.out.append("<module>")

    def _constant(self, node: ast.Constant) -> bool:
        if isinstance(node.value, str) and _FILE_NAME.fullmatch(node.value):
            self.strings.add(node.value)
        self.out.append("Constant(")
        self.write(node.value)
        self.out.append(")")
        return True

    def _joined(self, node: ast.JoinedStr) -> bool:
        """Write an f-string. Neighbouring texts are joined, since versions of Python divide them differently."""
        self.out.append("JoinedStr(")
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
                continue
            self.write([text, part])
            text = ""
        self.write(text)
        self.out.append(")")
        return True

    def _try(self, node: ast.Try | ast.TryStar) -> bool:
        """Write a `try`: a module imported in it may be absent."""
        self._tries += 1
        self._node(node)
        self._tries -= 1
        return True

    def _import(self, node: ast.Import) -> bool:
        for alias in node.names:
            if is_own(alias.name, self._top_packages):
                self._gap(alias.name, "", node.lineno, self._tries > 0)
            else:
                self.others.add(alias.name.partition(".")[0])
                self.out.append(f"{alias.name!a}")
            self.out.append(f" as {alias.asname!a};")
        return True

    def _import_from(self, node: ast.ImportFrom) -> bool:
        origin = importlib.util.resolve_name("." * node.level + (node.module or ""), self._package)
        for alias in node.names:
            name = alias.asname or alias.name
            if is_own(origin, self._top_packages):
                self._gap(origin, alias.name, node.lineno, self._tries > 0)
            elif is_own(f"{origin}.{alias.name}", self._top_packages):
                self._gap(f"{origin}.{alias.name}", "", node.lineno, self._tries > 0)
            else:
                self.others.add(origin.partition(".")[0])
                self.out.append(f"{origin!a} {alias.name!a}")
            self.out.append(f" as {name!a};")
        return True

    def _path(self, node: ast.Name | ast.Attribute) -> bool:
        """Write the path of a module of the distribution as a gap, whatever is taken from it beside the gap."""
        attributes: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            attributes.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name) or inner.id not in self._paths:
            return False
        path = inner.id
        while attributes and f"{path}.{attributes[-1]}" in self._paths:
            path += f".{attributes.pop()}"
        self._gap(path, "", node.lineno, True)  # where it is imported says whether it may be absent
        self.write(attributes)
        return True


@functools.cache
def _sorted_fields(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names) - _IGNORED))
