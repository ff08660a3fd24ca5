"""A list of which file holds the prediction of which image, in a CSV with the columns `image` and `prediction`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from cliffkit.components.near import meant
from cliffkit.errors import UserError

COLUMNS = ("image", "prediction")

END = ".csv"
"""How the name of such a list ends."""


def read_index(path: Path, place: Path, names: Sequence[str]) -> dict[str, Path]:
    """Read the file of each image, paths from `place`, by the image's name.

    Raises UserError with every fault, each with its line: an image that is not of the split or stands twice, a file
    that is missing or stands twice.
    """
    faults: list[str] = []
    files: dict[str, Path] = {}
    known, used = set(names), set[Path]()
    for line, row in _rows(path):
        image, file = row["image"], place / row["prediction"]
        if image not in known:
            hint = meant(image, names) or f"images are called as {', '.join(names[:3])}"
            faults.append(f"line {line}: '{image}' is no test image; {hint}")
        elif image in files:
            faults.append(f"line {line}: '{image}' stands twice; keep one line")
        elif not file.is_file():
            faults.append(f"line {line}: there is no file {file}; write paths from the folder of the predictions")
        elif file in used:
            faults.append(f"line {line}: {file} is the prediction of another image too; give each image its own")
        else:
            files[image] = file
            used.add(file)
    if faults:
        more = f"\nand {len(faults) - 10} more" if len(faults) > 10 else ""
        raise UserError("\n".join(f"{path}: {fault}" for fault in faults[:10]) + more)
    if not files:
        raise UserError(f"{path}: names no prediction; write a line for each image below {','.join(COLUMNS)}")
    return files


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Read the lines with their numbers. Raises UserError where the file is no such list."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(f"{path}: line 1: has no column '{missing[0]}'; it needs {' and '.join(COLUMNS)}")
            return [(reader.line_num, {name: (row[name] or "").strip() for name in COLUMNS}) for row in reader]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; name a CSV file, or match by name") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is no CSV in UTF-8: {error}") from error
