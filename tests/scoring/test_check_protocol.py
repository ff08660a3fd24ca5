"""The check of protocols fails for a protocol that breaks its contract, and says how."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from cliffkit.protocols import Crop, Protocol, View
from cliffkit.testing import check_protocol

COUNT = itertools.count(1)


def outside() -> Protocol:
    return Protocol("outside", "a test", crop=Crop(0, 500, 0, 640, frame=(480, 640)))


def upside_down() -> Protocol:
    return Protocol("upside_down", "a test", crop=Crop(400, 40, 0, 640, frame=(480, 640)))


def too_thin() -> Protocol:
    return Protocol("too_thin", "a test", crop=Crop(0.5, 0.501, 0, 1))


def too_thin_for_its_view() -> Protocol:
    return Protocol("too_thin_for_its_view", "a test", View(1.0, (4, 4)), Crop(0.1, 0.2, 0, 1))


def listed() -> Protocol:
    return Protocol("listed", "a test", View(1.0, [228, 304]))  # type: ignore[arg-type]


def unstorable() -> Protocol:
    return Protocol("unstorable", "a test", max_depth_m=np.float32(10))  # type: ignore[arg-type]


def fickle() -> Protocol:
    return Protocol("fickle", "a test", max_depth_m=float(next(COUNT)))


def anonymous() -> Protocol:
    return Protocol("anonymous", " ")


def text() -> str:
    return "eigen"


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (outside, "outside: the crop keeps rows 0 to 500 and columns 0 to 640 of a frame of 480x640; edges must be"),
        (upside_down, "upside_down: the crop keeps rows 400 to 40 "),
        (too_thin, "too_thin on 480x640: the crop keeps rows 240 to 240 and columns 0 to 640: no pixel is scored"),
        (too_thin_for_its_view, "too_thin_for_its_view on 4x4: the crop keeps rows 0 to 0 "),
        (listed, "listed: .* is another protocol after JSON, as which it is stored; write tuples"),
        (unstorable, "unstorable: .* cannot be stored as JSON: .*float32.*; write plain numbers"),
        (fickle, "fickle: two calls give .*max_depth_m=1.0.* and .*max_depth_m=2.0"),
        (anonymous, "anonymous: is described as .*; say in one line whose protocol it is, as `source`"),
        (text, "text: gives str, no cliffkit.protocols.Protocol"),
    ],
)
def test_a_broken_protocol_fails(factory: Callable[..., Protocol], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_protocol(factory)
