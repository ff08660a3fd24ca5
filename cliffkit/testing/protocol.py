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
    subject = getattr(factory, "__name__", repr(factory))
    expect(
        isinstance(protocol, Protocol), f"{subject}: gives {type(protocol).__name__}, no cliffkit.protocols.Protocol"
    )

    expect(
        protocol == again, f"{subject}: two calls give {protocol} and {again}; scores of the two could not be compared"
    )
    try:
        stored = Protocol.from_dict(json.loads(json.dumps(protocol.to_dict())))
    except TypeError as error:
        raise AssertionError(f"{subject}: {protocol} cannot be stored as JSON: {error}; write plain numbers") from error
    expect(
        stored == protocol, f"{subject}: {protocol} is another protocol after JSON, as which it is stored; write tuples"
    )

    described = protocol.describe()
    expect(
        "\n" not in described and bool(protocol.source.strip()),
        f"{subject}: is described as {described!r}; say in one line whose protocol it is, as `source`",
    )
    if protocol.crop is not None:
        _check_crop(subject, protocol.crop)
        for size in (protocol.view.size,) if protocol.view.size is not None else SIZES:
            _check_slices(f"{subject} on {size[0]}x{size[1]}", protocol.crop, *size)


def _check_crop(subject: str, crop: Crop) -> None:
    """Check that edges are in order and inside the frame."""
    height, width = crop.frame
    expect(
        0 <= crop.top < crop.bottom <= height and 0 <= crop.left < crop.right <= width,
        f"{subject}: the crop keeps rows {crop.top} to {crop.bottom} and columns {crop.left} to {crop.right} of a "
        f"frame of {height}x{width}; edges must be inside of it, top before bottom and left before right",
    )


def _check_slices(subject: str, crop: Crop, height: int, width: int) -> None:
    """Check that a view of this size keeps a pixel at least."""
    rows, columns = crop.slices(height, width)
    expect(
        rows.start < rows.stop and columns.start < columns.stop,
        f"{subject}: the crop keeps rows {rows.start} to {rows.stop} and columns {columns.start} to {columns.stop}: "
        "no pixel is scored",
    )
