"""Which file holds the prediction of which test image: by name, by the order of both, or by a list."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cliffkit.errors import UserError
from cliffkit.prediction.given.index import END, read_index
from cliffkit.prediction.given.stored import KINDS, Entry, count_stack
from cliffkit.prediction.inputs import SUFFIXES

WAYS = ("name", "order")
"""How predictions are matched to images, beside a list of them, a path that ends in .csv."""

SHOWN = 5
"""Names that a message lists of many."""

_WORDS = "rgb|image|img|color|colour|depth|pred|prediction|predictions|disp|disparity|inv|raw|out|output|result"
_DECORATION = re.compile(rf"^(?:(?:{_WORDS})_)+|(?:_(?:{_WORDS}))+$")
"""Words about a name that say what a file holds, not which image it is of."""

_HOLDS = re.compile(rf"(?:{_WORDS})s?(?:_(?:{_WORDS})s?)*", re.IGNORECASE)
"""A folder that only says what its files hold."""

_BY_NAME, _BY_BARE_NAME = "by file name", "by file name without words such as rgb and depth"
_NAMES_ALONE = (_BY_NAME, _BY_BARE_NAME)
"""Rules that do not look at folders."""

Key = Callable[[str], str]


@dataclass(frozen=True)
class Matched:
    """The prediction of each test image."""

    entries: tuple[Entry | None, ...]
    """In the order of the images; None where an image has no prediction."""
    extra: tuple[str, ...]
    """Predictions of no test image."""
    passed_over: Mapping[str, int]
    """Number of other files in the folder, by the ends of their names."""
    rule: str
    """How names were compared, in words."""
    warnings: tuple[str, ...] = ()
    """What is odd about the match, a sentence each."""

    def missing(self, names: Sequence[str]) -> list[str]:
        """List the images without a prediction."""
        return [name for name, entry in zip(names, self.entries, strict=True) if entry is None]


def match(place: Path, names: Sequence[str], way: str) -> Matched:
    """Match the predictions at `place`, a folder or a stack (N, H, W) in one .npy, to test images by their names.

    By `name` the paths of both are compared without the ends of file names: whole, by their last parts, with folders
    flattened into the file's name, and at last without words such as `rgb` and `depth` about them. The first rule that
    matches all images is taken, else the one that matches most. By `order` the n-th prediction is that of the n-th
    image, files sorted by name with numbers by their value. Another `way` is the path of a list (`index`). Raises
    UserError where nothing is found or matches, where two files are of one image, and where names alone would match
    predictions in several folders with images of other folders.
    """
    if way.endswith(END):
        return _by_index(place, Path(way), names)
    if place.is_file():
        count = count_stack(place)
        entries = [Entry(place, position) for position in range(count)]
        return _by_order(place, entries, names, {}, "by position in the stack")
    files, passed_over = _find(place)
    if way == "order":
        entries = [Entry(file) for file in sorted(files, key=_natural)]
        return _by_order(place, entries, names, passed_over, "by order")
    return _by_name(place, files, names, passed_over)


def listed(names: Sequence[str]) -> str:
    """List the first names and count the others."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _find(folder: Path) -> tuple[list[Path], dict[str, int]]:
    """List the files of one kind in a folder and below, the first kind of `KINDS` that it has; count all others."""
    found: dict[str, list[Path]] = {}
    for file in _walk(folder):
        found.setdefault(file.suffix.lower(), []).append(file)
    kind = next((kind for kind in KINDS if kind in found), None)
    if kind is None:
        raise UserError(
            f"{folder}: there is no prediction in it, no file that ends in {', '.join(KINDS)}; name the folder that "
            "holds them"
        )
    return sorted(found.pop(kind)), {suffix or "(no end)": len(files) for suffix, files in sorted(found.items())}


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be read: {error.strerror}; name a folder of predictions") from error

    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in files if not name.startswith("."))


def _by_order(
    place: Path, entries: Sequence[Entry], names: Sequence[str], passed_over: Mapping[str, int], rule: str
) -> Matched:
    if len(entries) != len(names):
        raise UserError(
            f"{place}: holds {len(entries)} predictions, and the test split has {len(names)} images: by order each "
            "image needs its own; match by name, or name the split that was predicted"
        )
    return Matched(tuple(entries), (), passed_over, rule)


def _by_index(place: Path, index: Path, names: Sequence[str]) -> Matched:
    if place.is_file():
        raise UserError(f"{place}: a stack is matched by the position of its maps, not by {index}; leave the list out")
    files = read_index(index, place, names)
    entries = tuple(Entry(files[name]) if name in files else None for name in names)
    return Matched(entries, (), {}, f"by the list {index}")


def _by_name(place: Path, files: Sequence[Path], names: Sequence[str], passed_over: Mapping[str, int]) -> Matched:
    stems: dict[str, list[Path]] = {}
    for file in files:
        stems.setdefault(_stem(file.relative_to(place).as_posix()), []).append(file)
    best: dict[str, str] = {}
    best_rule = ""
    for rule, image_key, file_key in _rules(max(len(PurePosixPath(_stem(name)).parts) for name in names)):
        by_key = _unique({stem: file_key(stem) for stem in stems})
        images = _unique({name: image_key(_stem(name)) for name in names})
        pairs = {name: by_key[key] for key, name in images.items() if key in by_key}
        if len(pairs) > len(best):
            best, best_rule = pairs, rule
        if len(best) == len(names):
            break
    if not best:
        raise UserError(
            f"{place}: no prediction has the name of a test image; the images are called {listed(names)}, the "
            f"predictions {listed([file.relative_to(place).as_posix() for file in files])}; rename the predictions, "
            "or match by order where they lie in the order of the split"
        )
    for name, stem in best.items():
        if len(stems[stem]) > 1:
            twins = listed([file.relative_to(place).as_posix() for file in stems[stem]])
            raise UserError(f"{place}: {twins} are all of the image {name}; leave all but one out")
    taken = set(best.values())
    entries = tuple(Entry(stems[best[name]][0]) if name in best else None for name in names)
    extra = tuple(
        file.relative_to(place).as_posix() for stem, paths in stems.items() if stem not in taken for file in paths
    )
    warnings = _other_folders(place, best) if best_rule in _NAMES_ALONE else ()
    return Matched(entries, extra, passed_over, best_rule, warnings)


def _other_folders(place: Path, pairs: Mapping[str, str]) -> tuple[str, ...]:
    """Warn of predictions whose folders are not those of their images, though both have some.

    A folder that all of them have in common tells no image from another. Where the others differ, names alone may be
    those of other images: that raises UserError.
    """
    ours, theirs = [_folders(_stem(name)) for name in pairs], [_folders(stem) for stem in pairs.values()]
    apart = [_are_apart(*folders) for folders in zip(ours, theirs, strict=True)]
    if not any(apart):
        return ()
    shared = frozenset.intersection(*ours), frozenset.intersection(*theirs)
    mixed = [_are_apart(a - shared[0], b - shared[1]) for a, b in zip(ours, theirs, strict=True)]
    flags = mixed if any(mixed) else apart
    shown = [f"{stem} for {name}" for (name, stem), is_apart in zip(pairs.items(), flags, strict=True) if is_apart]
    words = f"file names match and folders do not: {listed(shown)}"
    if any(mixed):
        raise UserError(
            f"{place}: {words}; call the folders as the images' are called, take them away, or say in a list which "
            "file is of which image (--match FILE.csv)"
        )
    return (words,)


def _folders(stem: str) -> frozenset[str]:
    """Give the folders of a path but for those that only say what files hold, such as rgb and depth."""
    return frozenset(folder for folder in PurePosixPath(stem).parts[:-1] if not _HOLDS.fullmatch(folder))


def _are_apart(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    return not (ours <= theirs or theirs <= ours)


def _rules(deepest: int) -> Iterator[tuple[str, Key, Key]]:
    """Give ways to compare: in words, the key of an image, the key of a prediction."""
    yield "by whole path", _last(0), _last(0)
    for parts in range(deepest, 1, -1):
        yield f"by the last {parts} parts of their paths", _last(parts), _last(parts)
    for parts in range(deepest, 0, -1):
        flattened = f", the last {parts} parts of an image's path flattened" if parts > 1 else ""
        yield f"{_BY_NAME}{flattened}", _last(parts), _last(1)
    for parts in range(deepest, 0, -1):
        flattened = f", the last {parts} parts of an image's path flattened" if parts > 1 else ""
        yield f"{_BY_BARE_NAME}{flattened}", _bare(parts), _bare(1)


def _last(parts: int) -> Key:
    """Give the key that is the last parts of a path, all of them for 0, with one sign for all that divides words."""

    def key(stem: str) -> str:
        return re.sub(r"[/_\-. ]+", "_", "/".join(PurePosixPath(stem).parts[-parts:]))

    return key


def _bare(parts: int) -> Key:
    def key(stem: str) -> str:
        folders, last = PurePosixPath(stem).parts[:-1], _last(1)(stem)
        kept = folders[len(folders) - parts + 1 :] if parts > 1 else ()
        return _last(0)("/".join([*kept, _DECORATION.sub("", last)]))

    return key


def _unique(keys: Mapping[str, str]) -> dict[str, str]:
    """Turn names with their keys around; a key of several names is none."""
    counts = Counter(keys.values())
    return {key: name for name, key in keys.items() if counts[key] == 1 and key}


def _stem(name: str) -> str:
    """Take the ends of image files and of predictions off a name."""
    ends = (*KINDS, *SUFFIXES)
    while (suffix := PurePosixPath(name).suffix).lower() in ends and suffix:
        name = name.removesuffix(suffix)
    return name


def _natural(path: Path) -> list[tuple[int, str]]:
    """Give a key that sorts numbers within names by their value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.as_posix())]
