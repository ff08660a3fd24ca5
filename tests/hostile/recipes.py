"""Mutated recipes and studies, parsed and checked in this process."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import FrameType

from cliffkit.components.load import load_plugins
from cliffkit.errors import UserError
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import check_recipe
from cliffkit.recipe.shipped import is_study, shipped
from cliffkit.study.check import check_study

from ..engine_fixtures import RECIPE
from ..study_fixtures import BASE, STUDY, write_study
from .kinds import Prepared

CASES = 100_000

SECONDS = 1.0
"""Time of the processor in which a case must end."""

LONGEST_MESSAGE = 200_000

VALUES = (
    *("{}", "null", "~", "true", "no", "''", "0", "-1", "1", "3", "1e400", "-0.0", ".nan", ".inf", "1e-320", "0x10"),
    *("9" * 30, "9" * 5000, "18446744073709551616", "[]", "[[]]", "[1, 2]", "{a: 1}", "{use: none}", "{use: l1}"),
    *("{use: [l1]}", "{use: {use: l1}}", "*a", "&a 1", "&a [*a]", "!!python/object:os.system x", "!x y", "? [a]"),
    *("x" * 300, "../../x", "/dev/null", "é", "\u202e", "'\\0'", '"\\x1b[2J"', "2001-01-01", "=1+1", "%TAG", "a: b: c"),
    *("<<: *a", "[32, 48]", "[1000000, 1000000]", "[-1, 0]", "32x48", "full+median", "resnet50", "cliff", "onecycle"),
)
"""Values for the place of others."""

CHARACTERS = "{}[]:,&*!|>'\"#%@`-?~ \t\n\0\x85\u2028\ufeff\ud800é0x"


def prepare(folder: Path) -> Prepared:
    registry = load_plugins().registry
    for component in registry:
        component.load()  # no case pays for an import, nor ends in the middle of one
    write_study(folder)
    files = shipped()
    recipes = [RECIPE, BASE, *(path.read_text(encoding="utf-8") for path in files.values() if not is_study(path))]
    studies = [(STUDY, folder)]
    studies += [(path.read_text(encoding="utf-8"), path.parent) for path in files.values() if is_study(path)]
    texts = [*recipes, *(text for text, _ in studies)]

    def case(number: int, random: Random) -> str | None:
        study = random.random() < 0.25
        text, where = random.choice(studies) if study else (random.choice(recipes), folder)
        for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
            text = random.choices(list(MUTATIONS), list(MUTATIONS.values()))[0](text, random, texts)
        try:
            with limited(SECONDS):
                document = yamlstrict.parse(text, "mutated.yaml")
                if study:
                    check_study(document, where, registry)
                else:
                    written = check_recipe(document, registry).to_yaml()
                    check_recipe(yamlstrict.parse(written, "written.yaml"), registry)  # what is right stays so
        except UserError as error:
            message = str(error)
            if not message or len(message) > LONGEST_MESSAGE or "written.yaml" in message:
                return f"a message of {len(message)} letters: {message[:500]}\n{text}"
        except TimeoutError:
            return f"took more than {SECONDS:g} s:\n{text}"
        except Exception as error:
            return f"{type(error).__name__}: {error}\n{text}"
        return None

    return Prepared(CASES, case)


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TimeoutError where the work within takes more time of the processor."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    former = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, former)


def _value(text: str, random: Random, texts: list[str]) -> str:
    """Another value after a colon, a comma or a bracket."""
    places = [i + 1 for i, letter in enumerate(text) if letter in ":,[{-"]
    if not places:
        return text + random.choice(VALUES)
    start = random.choice(places)
    ends = [i for i in (text.find(letter, start) for letter in ",]}\n") if i >= 0]
    return f"{text[:start]} {random.choice(VALUES)}{text[min(ends, default=len(text)) :]}"


def _letters(text: str, random: Random, texts: list[str]) -> str:
    """A few letters more, less or others."""
    place, length = random.randint(0, len(text)), random.choice((0, 0, 1, 1, 2, 10))
    new = "".join(random.choice(CHARACTERS) for _ in range(random.randint(0, 3)))
    return text[:place] + new + text[place + length :]


def _lines(text: str, random: Random, texts: list[str]) -> str:
    """Lines removed, repeated, moved, indented, or taken from another text."""
    lines = text.split("\n")
    start = random.randrange(len(lines))
    stop = start + random.randint(1, 4)
    some, target = lines[start:stop], random.randrange(len(lines))
    other = random.choice(texts).split("\n")
    begin = random.randrange(len(other))
    match random.randrange(5):
        case 0:
            lines[start:stop] = []
        case 1:
            lines[target:target] = some * random.choice((1, 1, 2, 50))
        case 2:
            lines[start:stop] = []
            lines[target:target] = some
        case 3:
            lines[start:stop] = [f"{' ' * random.randint(1, 9)}{line}" for line in some]
        case _:
            lines[target:target] = other[begin : begin + random.randint(1, 6)]
    return "\n".join(lines)


def _deep(text: str, random: Random, texts: list[str]) -> str:
    """Lists in lists, aliases of aliases."""
    depth = random.choice((5, 49, 50, 51, 1000, 20_000))
    if random.random() < 0.5:
        return f"{text}\nx: {'[' * depth}{']' * random.choice((depth, 0))}"
    levels = [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}' if i else 'x'] * 9)}]" for i in range(random.randint(2, 12))]
    return "\n".join([*levels, text, f"y: *x{len(levels) - 1}"])


MUTATIONS = {_value: 60, _letters: 18, _lines: 20, _deep: 2}
"""Mutations, and how often each is made of a hundred; the last makes texts that take long to read."""
