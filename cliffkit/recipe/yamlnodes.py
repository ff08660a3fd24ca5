"""Text to nodes of YAML, with the places of its lines: what PyYAML does, with limits and remedies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from cliffkit.errors import Fault, RecipeError
from cliffkit.text import cut

MAX_DEPTH = 50
"""Lists and mappings inside of each other."""

_TOO_DEEP = "more than"

_REMEDIES = {
    _TOO_DEEP: "write a flatter one",
    "found undefined alias": "put text that begins with * in quotes",
    "found character '\\t'": "indent with spaces, not with tabs; put text that begins with a tab in quotes",
    "found character": "put text that begins with this character in quotes",
    "but found another document": "remove the line ---, or what stands above it",
    "expected <block end>": "indent it like the lines that it belongs to",
    "mapping values are not allowed here": "indent it like the lines that it belongs to, and put text that has ': ' in "
    "quotes",
}
"""Remedies of faults in YAML, by the words with which PyYAML says them."""

_PLAIN = {
    "expected <block end>": "the line is indented like nothing above it",
    "mapping values are not allowed here": "a key and its colon cannot stand here",
}
"""Faults in plainer words than PyYAML's, by those."""

_OPEN = {
    "while scanning a quoted scalar": ("a quote opens here and is not closed", "close it"),
    "while parsing a flow": ("a bracket opens here and is not closed", "close it"),
}
"""Cause and remedy where a file ends within quotes or brackets, by what PyYAML was doing then."""

_ENDS = ("found unexpected end of stream", "but got '<stream end>'")
"""PyYAML's words where a file ends too soon."""

_REMEDY = "check brackets, quotes, colons and indentation there"


@dataclass(frozen=True)
class Lines:
    """How the places of a text are named."""

    file: str
    shown: bool = True
    """Whether places have lines."""

    def place(self, line: int) -> str:
        """Name a line, counted from 0."""
        return f"{self.file}:{line + 1}" if self.shown else self.file


def compose(text: str, lines: Lines) -> yaml.Node | None:
    """Read the nodes of YAML. Raises RecipeError with cause and remedy for text that is not YAML."""
    loader = None
    try:
        loader = _Loader(text)
        node: yaml.Node | None = loader.get_single_node()
        return node
    except yaml.reader.ReaderError as error:
        line, problem = (
            text.count("\n", 0, error.position),
            f"the character U+{int(error.character):04X} has no place in it",
        )
        remedy = "remove it"
        cause: Exception = error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, problem = mark.line if mark else 0, error.problem or error.context or "cannot be read"
        remedy = next((remedy for start, remedy in _REMEDIES.items() if problem.startswith(start)), _REMEDY)
        problem = next((plain for start, plain in _PLAIN.items() if problem.startswith(start)), problem)
        opened = [words for start, words in _OPEN.items() if (error.context or "").startswith(start)]
        if opened and error.context_mark and problem.endswith(_ENDS):
            line, (problem, remedy) = error.context_mark.line, opened[0]
        cause = error
    except (ValueError, OverflowError) as error:  # an escape may name no character
        assert loader is not None
        line, problem, cause = loader.line, cut(str(error)), error
        remedy = "write the character itself instead of its escape"
    raise RecipeError([Fault(lines.place(line), "", f"not YAML: {problem}; {remedy}")]) from cause


class _Loader(yaml.SafeLoader):
    """A loader that refuses nesting which no recipe has, before Python's own limit."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node; the depth counts the nodes around it. Raises ComposerError where that is too deep."""
        if self._depth > MAX_DEPTH:
            problem = f"{_TOO_DEEP} {MAX_DEPTH} lists and mappings inside of each other"
            raise yaml.composer.ComposerError(None, None, problem, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        self._depth += 1
        try:
            node: yaml.Node | None = super().compose_node(parent, index)
        finally:
            self._depth -= 1
        return node
