"""YAML as people mean it: `3e-4` is a number, `no` is a word, a repeated key is an error, every value has its line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cliffkit.errors import Fault, RecipeError
from cliffkit.recipe.yamlnodes import Lines, compose
from cliffkit.text import cut

Path_ = tuple[str | int, ...]

MAX_BYTES = 1_000_000
"""Size of a file. PyYAML takes some ten seconds for as much."""

MAX_VALUES = 100_000
"""Values, each as often as an alias repeats it."""

MAX_INTEGER = 2**64
"""Bound of whole numbers, exclusive. Options and random generators take at most 64 bits."""

_INT = re.compile(r"[-+]?[0-9]+")

_DIGITS = 4_000
"""Largest number of digits that Python turns into a number. More digits stay text, which `parse` makes a fault."""

_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)")

_WORDS: Mapping[str, Any] = {"": None, "null": None, "~": None, "true": True, "false": False}


@dataclass(frozen=True)
class Document:
    """What a YAML file says, and where."""

    file: str
    data: Any
    lines: Mapping[Path_, int]
    faults: tuple[Fault, ...] = field(default=())
    replaced: Mapping[Path_, str] = field(default_factory=dict)
    """Origins of values that are not the file's; each holds for the value and all below it."""
    text: str = ""
    """The file as it was read; empty for a document that is no file."""

    def place(self, path: Path_) -> str:
        """`file:line` of a value, or of its nearest parent that is written in the file; else where it came from."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.replaced:
                return self.replaced[path[:end]]
        while path and path not in self.lines:
            path = path[:-1]
        line = self.lines.get(path)
        return f"{self.file}:{line}" if line else self.file

    def origin(self, path: Path_) -> str:
        """Name a value's place for faults that show elsewhere: by its line, by its path in a document without lines."""
        return self.place(path) if self.lines else f"{self.file}: {dotted(path)}"

    def within(self, key: str) -> Document:
        """Take the value of a key as a document of its own, its lines those of the file."""
        lines = {path[1:]: line for path, line in self.lines.items() if path[:1] == (key,)}
        return Document(self.file if lines else f"{self.file}: {key}", self.data[key], lines)


def load(path: Path) -> Document:
    """Read a YAML file. Raises RecipeError where it cannot be read or is not YAML; repeated keys become faults."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError([Fault(str(path), "", "no such file")]) from None
    except OSError as error:
        raise RecipeError([Fault(str(path), "", f"cannot be read: {error.strerror or error}")]) from error
    except ValueError as error:  # a path that no file can have
        raise RecipeError([Fault(str(path), "", f"cannot be read: {cut(str(error))}")]) from error
    if len(content) > MAX_BYTES:
        raise RecipeError([Fault(str(path), "", f"is larger than {MAX_BYTES} bytes; name a recipe or study")])
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"is no text in UTF-8: byte 0x{content[error.start]:02x}; save it with the encoding UTF-8"
        raise RecipeError([Fault(f"{path}:{line}", "", message)]) from error
    return parse(text.replace("\r\n", "\n").replace("\r", "\n"), str(path))


def parse(text: str, file: str) -> Document:
    """Read the YAML of a file; `file` names it in errors. Raises RecipeError for text that is not YAML."""
    return _parse(text, Lines(file))


def parse_value(text: str, origin: str) -> Any:
    """Read YAML that is no file, as an option of a command; `origin` names it. Raises RecipeError with every fault."""
    document = _parse(text, Lines(origin, shown=False))
    if document.faults:
        raise RecipeError(document.faults)
    return document.data


def _parse(text: str, lines: Lines) -> Document:
    node = compose(text, lines)
    reading = _Reading(lines)
    data = None if node is None else reading.value(node, (), frozenset())
    return Document(lines.file, data, reading.lines, tuple(reading.faults), text=text)


def dump(data: Any) -> str:
    """Write data as YAML that `parse` reads back as the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def dump_line(data: Any) -> str:
    """Write a list or mapping as YAML on one line, for options of commands."""
    text: str = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, default_flow_style=True, width=math.inf, allow_unicode=True
    )
    return text.strip()


class _Dumper(yaml.SafeDumper):
    """Quotes text that would be read as a number or a word of YAML's."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        """Write text, in quotes where unquoted text would mean something else or its line breaks would be folded."""
        if isinstance(scalar(text), str) and scalar(text) == text and text.isprintable():
            return super().represent_str(text)
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Dumper.add_representer(str, _Dumper.represent_str)


def scalar(text: str) -> Any:
    """Read one unquoted scalar."""
    lowered = text.lower()
    if lowered in _WORDS:
        return _WORDS[lowered]
    if _INT.fullmatch(text):
        return int(text) if len(text) <= _DIGITS else text
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text  # 1e400 is no number that a recipe can mean
    if _NOT_FINITE.fullmatch(lowered):
        return float(lowered.replace(".", ""))
    return text


class _Reading:
    """The values of one file, with their lines and faults."""

    def __init__(self, places: Lines) -> None:
        self.places = places
        self.lines: dict[Path_, int] = {}
        self.faults: list[Fault] = []
        self.count = 0
        """Values so far, each as often as an alias repeats it."""

    def value(self, node: yaml.Node, path: Path_, above: frozenset[int]) -> Any:
        """Read a node and all below it. Raises RecipeError where aliases make it too large."""
        self.lines.setdefault(path, node.start_mark.line + 1)
        self.count += 1
        if self.count > MAX_VALUES:
            message = f"more than {MAX_VALUES} values, with those that aliases repeat; write fewer"
            raise RecipeError([*self.faults, Fault(self._place(node), "", message)])
        if id(node) in above:
            self._fault(node, path, "an alias refers to what it stands in; write it out")
            return None
        if node.tag.startswith("!"):
            self._fault(node, path, f"tag {cut(node.tag)} means nothing here; remove it")
        above = above | {id(node)}
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, above)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i), above) for i, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path_, above: frozenset[int]) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, path, "a key is a list or a mapping; write text before the colon")
                continue
            key = str(key_node.value)
            word, colon, rest = key.partition(":")
            if colon and word and rest and key_node.style is None and _is_unwritten(value_node):
                meant = f"{cut(word, 40)}: {cut(rest, 40)}"
                message = f"'{cut(key, 40)}' is one word; write a blank after the colon, as {meant}"
                self._fault(key_node, (*path, word), message)
                mapping.setdefault(word, scalar(rest))  # so that no more is said of it
                continue
            here = (*path, key)
            if key in mapping:
                first = f"it stands first in line {self.lines[here]}; " if self.places.shown else ""
                message = f"repeated key; {first}keep one of the two"
                self._fault(key_node, here, message)
                continue
            self.lines[here] = key_node.start_mark.line + 1
            mapping[key] = self.value(value_node, here, above)
        return mapping

    def _scalar(self, node: yaml.ScalarNode, path: Path_) -> Any:
        if node.style is not None:
            return node.value
        value = scalar(node.value)
        if _INT.fullmatch(node.value) and not (isinstance(value, int) and -MAX_INTEGER < value < MAX_INTEGER):
            digits = len(node.value.lstrip("+-"))
            self._fault(node, path, f"{cut(node.value, 30)} has {digits} digits; no whole number has more than 64 bits")
            return None
        return value

    def _fault(self, node: yaml.Node, path: Path_, message: str) -> None:
        self.faults.append(Fault(self._place(node), dotted(path), message))

    def _place(self, node: yaml.Node) -> str:
        return self.places.place(node.start_mark.line)


def _is_unwritten(node: yaml.Node) -> bool:
    """Tell whether nothing stands where a value could, as after the key of `{key}`."""
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value == ""


def dotted(path: Path_) -> str:
    """`("loss", 0, "use")` as `loss.0.use`."""
    return ".".join(str(step) for step in path)
