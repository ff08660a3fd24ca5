from __future__ import annotations

import numpy as np
import pytest

from cliffkit.data.traps import traps

DEPTH = np.linspace(0.7, 9.3, 40_000).astype(np.float32)


def rotated(mm: np.ndarray) -> np.ndarray:
    """Metres of 16-bit millimetres whose bits were rotated by three to the left, read as they are."""
    return (((mm << 3) | (mm >> 13)) & 0xFFFF).astype(np.float32) / np.float32(1000)


def test_depth_as_it_should_be_raises_no_suspicion() -> None:
    assert not list(traps([DEPTH, np.rint(DEPTH * 1000).astype(np.float32) / 1000]))
    assert not list(traps([]))
    assert not list(traps([np.full(9, 90.0)])), "too few pixels to say"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (rotated(np.rint(DEPTH * 800).astype(np.uint32)), "rotated by three"),
        (np.round(DEPTH * 27).astype(np.float32) / 27, "a picture of 8 bits"),
        (np.append(DEPTH, np.full(9000, 655.35, np.float32)), "18.4% of the depths are the largest, 655.35 m"),
    ],
)
def test_what_was_read_in_a_wrong_way_is_named(wrong: np.ndarray, words: str) -> None:
    (suspicion,) = traps([wrong, wrong])
    assert words in suspicion
    assert not list(traps([DEPTH])), "the same depth read right"


def test_one_image_that_is_read_right_clears_the_others_of_bits_and_greys() -> None:
    assert not list(traps([DEPTH, rotated(np.rint(DEPTH * 800).astype(np.uint32))]))
