"""The same rate throughout."""

from __future__ import annotations

from cliffkit.interfaces import Schedule


class Constant(Schedule):
    """Keep the learning rate."""

    def __init__(self, steps: int, /) -> None: ...

    def __call__(self, step: int) -> float:
        """Give 1."""
        return 1.0
