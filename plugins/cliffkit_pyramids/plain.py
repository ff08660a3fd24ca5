"""The scales of a pyramid that is made of a plain vision transformer's levels, which all have one stride."""

from __future__ import annotations

from collections.abc import Sequence

FINEST = 4.0
"""Scale of the finest level; each further level is half as large as the one before."""


def plain_scales(pyramid: str, strides: Sequence[int]) -> list[float]:
    """Give the scale of each level: 4, 2, 1, 1/2. Raises ValueError for levels of several strides."""
    if len(set(strides)) > 1:
        raise ValueError(
            f"{pyramid}: makes a pyramid of levels of one stride, as plain vision transformers have, and these have "
            f"{list(strides)}; use pyramid fpn"
        )
    return [FINEST / 2**k for k in range(len(strides))]
