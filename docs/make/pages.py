"""Pages of the docs as what a reader does: files to write, commands to give, answers to expect."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`([\w./-]+\.(?:py|toml|yaml))`")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    before: str
    """The paragraph that leads to it."""
    start: int
    """Where its text begins in the page, in characters."""

    @property
    def written_to(self) -> str | None:
        """The file that it is the whole of: the paragraph begins with its name, or with `Write` and its name."""
        if self.language not in ("python", "yaml", "toml"):
            return None
        found = FILE.match(self.before.removeprefix("Write "))
        return found[1] if found else None

    @property
    def added_to(self) -> str | None:
        """The file that it is added to: the paragraph ends so."""
        found = re.search(rf"Add (?:this|it) to {FILE.pattern}:$", self.before)
        return found[1] if found else None


def blocks(page: str) -> list[Block]:
    """Give the fenced blocks of a page, in order."""
    return [
        Block(
            found[1], found[2], " ".join(page[: found.start()].rstrip().rpartition("\n\n")[2].split()), found.start(2)
        )
        for found in FENCE.finditer(page)
    ]


def follow(page: str, folder: Path, bash: Callable[[str, Path], str], changes: Mapping[str, str] | None = None) -> str:
    """Write the files of a page into a folder, give its commands there, and return the page with their answers.

    `bash` gives what a script prints to stdout. A block of `text` is the answer to the commands before it. `changes`
    are replaced in files and commands before they are used, as 20000 steps by 2; each must occur.
    """
    left = set(changes or {})
    answer, answers = "", []
    for block in blocks(page):
        text = block.text
        for old, new in (changes or {}).items():
            if old in text and block.language in ("bash", "yaml", "python"):
                text = text.replace(old, new)
                left.discard(old)
        if block.written_to:
            (folder / block.written_to).write_text(text, encoding="utf-8")
        elif block.language == "bash":
            answer = bash(text, folder)
        elif block.language == "text":
            answers.append((block, answer))
    assert not left, f"the page has not: {left}"
    for block, answer in reversed(answers):
        page = (
            page[: block.start]
            + "\n".join(map(str.rstrip, answer.strip().splitlines()))
            + "\n"
            + page[block.start + len(block.text) :]
        )
    return page
