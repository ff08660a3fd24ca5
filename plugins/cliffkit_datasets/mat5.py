"""Arrays of numbers from a MATLAB v5 file, read strictly: a damaged file is an error, never a crash.

Source of the layout: "MAT-File Format", The MathWorks. scipy reads more of the format, and a damaged file can end its
process.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 64 * 2**20
"""Largest element that is decompressed."""

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMBERS = range(6, 16)
"""Classes of arrays of numbers, from double to uint64."""
_COMPLEX = 0x0800


class _Element(NamedTuple):
    """A piece of a file: what it is, and its bytes."""

    kind: int
    content: bytes


def read_arrays(path: Path) -> dict[str, NDArray[Any] | None]:
    """Read every variable of a file by its name; None for what is no array of real numbers.

    Raises ValueError where the file is none of MATLAB v5, or damaged, and OSError.
    """
    data = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEADER])
    if order is None or struct.unpack(f"{order}H", data[124:126])[0] >> 8 != 1:
        raise ValueError("it has no header of version 5")

    arrays = {}
    for element in _elements(data[_HEADER:], order):
        if element.kind == _COMPRESSED:
            element = next(_elements(_decompressed(element.content), order))
        if element.kind == _MATRIX:
            name, array = _matrix(list(_elements(element.content, order)), order)
            arrays[name] = array
    return arrays


def _elements(data: bytes, order: str) -> Iterator[_Element]:
    """Cut bytes into elements. Raises ValueError where they end within one."""
    place = 0
    while place < len(data):
        if len(data) - place < 8:
            raise ValueError("it ends within an element")
        kind, size = struct.unpack(f"{order}II", data[place : place + 8])
        start, end = place + 8, place + 8 + size
        if kind >> 16:  # small: size, kind and up to four bytes
            kind, size = kind & 0xFFFF, kind >> 16
            start, end = place + 4, place + 4 + min(size, 4)
            place += 8
        else:
            place = end if kind == _COMPRESSED else end + -size % 8
        if end > len(data) or end - start != size:
            raise ValueError("it ends within an element")
        yield _Element(kind, data[start:end])


def _decompressed(data: bytes) -> bytes:
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacker.eof or not content:
        raise ValueError(f"an element is not whole, or larger than {MOST_BYTES} bytes")
    return content


def _matrix(parts: list[_Element], order: str) -> tuple[str, NDArray[Any] | None]:
    """Read a variable: its flags, its shape, its name and its values, one part each."""
    if len(parts) < 3 or [part.kind for part in parts[:3]] != [6, 5, 1] or len(parts[0].content) != 8:
        raise ValueError("a variable is damaged")
    flags = struct.unpack(f"{order}II", parts[0].content)[0]
    shape = np.frombuffer(parts[1].content, f"{order}i4").tolist()
    name = parts[2].content.decode("ascii")
    if flags & 0xFF not in _NUMBERS or flags & _COMPLEX:
        return name, None
    if len(parts) != 4 or parts[3].kind not in _TYPES or min(shape, default=-1) < 0:
        raise ValueError(f"variable {name!a} is damaged")
    values = np.frombuffer(parts[3].content, f"{order}{_TYPES[parts[3].kind]}")
    if values.size != math.prod(shape):
        raise ValueError(f"variable {name!a} has {values.size} values, not {' x '.join(map(str, shape))}")
    return name, values.reshape(shape, order="F")
