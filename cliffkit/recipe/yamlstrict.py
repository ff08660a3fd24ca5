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

Path_ = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]+")

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
    """Where values come from that are not the file's, with all below them."""
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
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError([Fault(str(path), "", "no such file")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError([Fault(str(path), "", f"cannot be read: {error}")]) from error
    return parse(text, str(path))


def parse(text: str, file: str) -> Document:
    """Read YAML from a string; `file` names it in errors."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}" if mark else file
        raise RecipeError([Fault(place, "", f"not YAML: {error.problem or error.context}")]) from error
    except yaml.YAMLError as error:
        raise RecipeError([Fault(file, "", f"not YAML: {error}")]) from error
    lines: dict[Path_, int] = {}
    faults: list[Fault] = []
    data = None if node is None else _value(node, (), file, lines, faults, frozenset())
    return Document(file, data, lines, tuple(faults), text=text)


def dump(data: Any) -> str:
    """Write data as YAML that `parse` reads back as the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Quotes text that would be read as a number or a word of YAML's."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        """Write text, in quotes where it means something else without, or where line breaks would be folded."""
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
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text  # 1e400 is no number that a recipe can mean
    if _NOT_FINITE.fullmatch(lowered):
        return float(lowered.replace(".", ""))
    return text


def _value(
    node: yaml.Node, path: Path_, file: str, lines: dict[Path_, int], faults: list[Fault], above: frozenset[int]
) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if id(node) in above:
        faults.append(Fault(f"{file}:{line}", dotted(path), "an alias refers to what it stands in; write it out"))
        return None
    above = above | {id(node)}
    if node.tag.startswith("!"):
        faults.append(Fault(f"{file}:{line}", dotted(path), f"tag {node.tag} means nothing here; remove it"))
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else repr(key_node.value)
            here = (*path, key)
            if key in mapping:
                place = f"{file}:{key_node.start_mark.line + 1}"
                message = f"repeated key; it stands first in line {lines[here]}; keep one of the two"
                faults.append(Fault(place, dotted(here), message))
                continue
            lines[here] = key_node.start_mark.line + 1
            mapping[key] = _value(value_node, here, file, lines, faults, above)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, i), file, lines, faults, above) for i, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return scalar(node.value) if node.style is None else node.value


def dotted(path: Path_) -> str:
    """`("loss", 0, "use")` as `loss.0.use`."""
    return ".".join(str(step) for step in path)
