"""Checks of evaluation protocols."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cliffkit.protocols import Crop, Protocol
from cliffkit.testing.common import expect

SIZES = ((480, 640), (375, 1242), (97, 131))
"""Heights and widths of images as NYU and KITTI have them, and of one that is odd and small."""


def check_protocol(factory: Callable[..., Protocol], **options: Any) -> None:
    """Check an evaluation protocol: `factory(**options)`."""
    protocol, again = factory(**options), factory(**options)
    what = getattr(factory, "__name__", repr(factory))
    expect(isinstance(protocol, Protocol), f"{what}: gives {type(protocol).__name__}, no cliffkit.protocols.Protocol")

    expect(protocol == again, f"{what}: two calls give {protocol} and {again}; scores of the two could not be compared")
    try:
        stored = Protocol.from_dict(json.loads(json.dumps(protocol.to_dict())))
    except TypeError as error:
        raise AssertionError(f"{what}: {protocol} cannot be stored as JSON: {error}; write plain numbers") from error
    expect(
        stored == protocol, f"{what}: {protocol} is another protocol after JSON, as which it is stored; write tuples"
    )

    described = protocol.describe()
    expect(
        "\n" not in described and bool(protocol.source.strip()),
        f"{what}: is described as {described!r}; say in one line whose protocol it is, as `source`",
    )
    if protocol.crop is not None:
        _check_crop(what, protocol.crop)
        for size in (protocol.view.size,) if protocol.view.size is not None else SIZES:
            _check_slices(f"{what} on {size[0]}x{size[1]}", protocol.crop, *size)


def _check_crop(what: str, crop: Crop) -> None:
    """Edges are in order, and inside of the frame."""
    height, width = crop.frame
    expect(
        0 <= crop.top < crop.bottom <= height and 0 <= crop.left < crop.right <= width,
        f"{what}: the crop keeps rows {crop.top} to {crop.bottom} and columns {crop.left} to {crop.right} of a frame "
        f"of {height}x{width}; edges must be inside of it, top before bottom and left before right",
    )


def _check_slices(what: str, crop: Crop, height: int, width: int) -> None:
    """Check that a view of this size keeps a pixel at least."""
    rows, columns = crop.slices(height, width)
    expect(
        rows.start < rows.stop and columns.start < columns.stop,
        f"{what}: the crop keeps rows {rows.start} to {rows.stop} and columns {columns.start} to {columns.stop}: "
        "no pixel is scored",
    )
