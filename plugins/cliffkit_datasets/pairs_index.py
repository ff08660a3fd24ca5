"""Reading `index.csv`, the list of a folder of pairs, and checking every line of it."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from cliffkit.errors import UserError
from cliffkit_datasets.splits import SPLITS, cut_by_scene

INDEX = "index.csv"
REQUIRED = ("rgb", "depth", "scene_id")
CAMERA = ("fx", "fy", "cx", "cy")
OPTIONAL = ("scene_type", "id", "split", *CAMERA)
MOST_FAULTS = 20


@dataclass(frozen=True)
class Pair:
    """One line of the index."""

    line: int
    name: str
    rgb: str
    """Path within the folder, as are all."""
    depth: str
    scene_id: str
    scene_type: str
    """Empty where unknown."""
    split: str
    """Empty where the index has no such column."""
    camera: tuple[float, ...] | None
    """fx, fy, cx, cy as `Sample.intrinsics` has them; None where unknown."""


@dataclass
class Faults:
    """What is wrong in an index, by line, to be reported at once."""

    index: Path
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, message: str) -> None:
        """Note one fault: cause and remedy."""
        self.found.append((line, message))

    def check(self) -> None:
        """Raise UserError with every fault noted so far, at most MOST_FAULTS of them spelt out."""
        if self.found:
            lines = [f"{self.index}:{line}: {message}" for line, message in sorted(self.found)]
            more = [f"and {len(lines) - MOST_FAULTS} more faults in {INDEX}"] if len(lines) > MOST_FAULTS else []
            raise UserError("\n".join(lines[:MOST_FAULTS] + more))


def find(root: Path | None) -> Path:
    """Find the index in a folder."""
    if root is None:
        raise UserError(
            f"pairs: no folder given; say --data pairs=DIR or set CLIFFKIT_DATA_PAIRS, where DIR holds {INDEX} with "
            f"the columns {', '.join(REQUIRED)} and optionally {', '.join(OPTIONAL)}"
        )
    if not (root / INDEX).is_file():
        raise UserError(
            f"{root / INDEX}: there is no such file; put it there, or name a folder that holds {INDEX} with the "
            f"columns {', '.join(REQUIRED)} and optionally {', '.join(OPTIONAL)}"
        )
    return root / INDEX


def read(faults: Faults) -> list[Pair]:
    """Read every usable line of the index; faults of the others, and between lines, go to `faults`.

    Raises UserError where there is nothing to go on with: no text, no CSV, no header, columns missing, no lines.
    """
    header, rows = _rows(faults.index)
    _check_header(faults.index, header)
    if not rows:
        raise UserError(f"{faults.index}: there is no line below the header; list the pairs, one a line")

    pairs = []
    for line, values in rows:
        if len(values) != len(header):
            faults.add(line, f"{len(values)} fields under {len(header)} columns; quote fields that hold commas")
            continue
        cell = dict(zip(header, values, strict=True))
        wrong = list(_cell_faults(cell))
        for message in wrong:
            faults.add(line, message)
        if not wrong:
            pairs.append(_pair(line, cell))

    _compare(pairs, faults)
    return pairs


def of_split(pairs: Sequence[Pair], split: str, shares: dict[str, float], faults: Faults) -> list[Pair]:
    """Choose the pairs of one split: by the column `split` where the index has it, else cut by scene.

    A share of 1 for "test" takes all pairs.
    """
    if any(pair.split for pair in pairs):
        chosen = [pair for pair in pairs if pair.split == split]
        if not chosen:
            faults.check()
            raise UserError(f"{faults.index}: split: no line is of split '{split}'; give some scenes to it")
        return chosen
    if shares["test"] == 1:
        if split != "test":
            faults.check()
            raise UserError(f"{faults.index}: test_share is 1, so that no image is left for '{split}'; lower it")
        return list(pairs)
    frames = Counter(pair.scene_id for pair in pairs)
    if len(frames) <= len(shares):
        faults.check()
        raise UserError(
            f"{faults.index}: scene_id: {len(frames)} scenes cannot be cut into {', '.join(SPLITS)}, which share none; "
            f"add scenes, or say in a column `split` what each line is for"
        )
    split_of = cut_by_scene(frames, shares)
    return [pair for pair in pairs if split_of[pair.scene_id] == split]


def dealt(pairs: Sequence[Pair], chosen: Sequence[Pair]) -> str:
    """Say of how many scenes the chosen pairs are, and by what they were chosen."""
    scenes, ours = ({pair.scene_id for pair in some} for some in (pairs, chosen))
    counts = f"{len(ours)} of {len(scenes)} scenes, {len(chosen)} of {len(pairs)} images"
    if any(pair.split for pair in pairs):
        return f"{counts}, by the column `split`"
    if len(chosen) == len(pairs):
        return counts
    return f"{counts}; scenes go whole, and at least half of them train, so shares of the images are met roughly"


def _rows(index: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read the header and the other lines, each with the number of the line it begins on, all fields stripped."""
    rows = []
    line = 1
    try:
        with index.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for values in reader:
                if values:
                    rows.append((line, [value.strip() for value in values]))
                line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{index}:{line}: is no CSV ({error}); separate fields by commas and close quotes") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{index}: is no UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise UserError(f"{index}: cannot be read ({error.strerror}); mend its permissions") from error
    return (rows[0][1] if rows else []), rows[1:]


def _check_header(index: Path, header: Sequence[str]) -> None:
    """Raise UserError for columns that are missing or stand twice."""
    missing = [column for column in REQUIRED if column not in header]
    if missing or len(set(header)) < len(header):
        cause = f"without the column {', '.join(missing)}" if missing else "with a column twice"
        other = next((sign for sign in ";\t|" if len(header) == 1 and sign in header[0]), None)
        if other is not None:
            named = "a tab" if other == "\t" else f"'{other}'"
            raise UserError(f"{index}:1: columns are separated by {named}; separate them by commas, in every line")
        raise UserError(
            f"{index}:1: the header is {','.join(header) or 'empty'}, {cause}; it must name each of "
            f"{', '.join(REQUIRED)} once, and may name {', '.join(OPTIONAL)} and others"
        )


def _pair(line: int, cell: Mapping[str, str]) -> Pair:
    """Make a pair of a line without faults, by the names of its columns."""
    camera = tuple(float(cell[column]) for column in CAMERA) if _has_camera(cell) else None
    return Pair(
        line,
        cell.get("id", cell["rgb"]),
        cell["rgb"],
        cell["depth"],
        cell["scene_id"],
        cell.get("scene_type", ""),
        cell.get("split", ""),
        camera,
    )


def _cell_faults(cell: Mapping[str, str]) -> Iterator[str]:
    """Find the faults of one line, by the names of its columns."""
    for column in ("rgb", "depth"):
        if fault := _path_fault(column, cell[column]):
            yield fault
    if not cell["scene_id"]:
        yield "scene_id: is empty; name the place where the image was taken: splits are cut by it"
    if not cell.get("id", "any"):
        yield "id: is empty; give each pair an id, or leave the column out"
    if cell.get("split", "train") not in SPLITS:
        yield f"split: '{cell['split']}' is none of {', '.join(SPLITS)}; write one, or drop the column"
    if _has_camera(cell):
        for column in CAMERA:
            if fault := _camera_fault(column, cell[column]):
                yield fault


def _has_camera(cell: Mapping[str, str]) -> bool:
    """Say whether a line gives a camera; an index with some of its columns alone, as a focal length, gives none."""
    return all(column in cell for column in CAMERA) and any(cell[column] for column in CAMERA)


def _camera_fault(column: str, text: str) -> str:
    """Say why a cell of a camera is none, or nothing."""
    if not text:
        return f"{column}: is empty; give all of {', '.join(CAMERA)}, or leave all empty where the camera is unknown"
    try:
        pixels = float(text)
    except ValueError:
        return f"{column}: '{text}' is no number; give pixels of the image, as 518.86, with a point and no unit"
    if not (pixels > 0 and math.isfinite(pixels)):
        return f"{column}: {text} is no number above 0; give pixels of the image, counted from its top left corner"
    return ""


def _path_fault(column: str, path: str) -> str:
    if not path:
        return f"{column}: is empty; name a file in the folder"
    parts = path.split("/")
    if path.startswith("/") or PureWindowsPath(path).drive:
        return f"{column}: {path} is absolute; name a file in the folder of {INDEX}, relative to it"
    if "\\" in path:
        return f"{column}: {path} holds a backslash; write / between folders"
    if ".." in parts:
        return f"{column}: {path} leaves the folder; keep every file in the folder of {INDEX}"
    return ""


def _compare(pairs: Sequence[Pair], faults: Faults) -> None:
    """Find faults between lines: an image or name given twice, a scene in two splits."""
    names: dict[str, int] = {}
    images: dict[str, int] = {}
    splits: dict[str, Pair] = {}
    for pair in pairs:
        if (line := images.setdefault(pair.rgb, pair.line)) != pair.line:
            faults.add(pair.line, f"rgb: {pair.rgb} is line {line}'s image too; remove one of the lines")
        elif (line := names.setdefault(pair.name, pair.line)) != pair.line:
            faults.add(pair.line, f"id: '{pair.name}' is line {line}'s too; give each pair its own")
        other = splits.setdefault(pair.scene_id, pair)
        if other.split != pair.split:
            faults.add(
                pair.line,
                f"split: scene '{pair.scene_id}' is in {pair.split} here and in {other.split} on line {other.line}; "
                f"keep all of a scene in one split",
            )
