"""Cliffkit's own protocol."""

from cliffkit.protocols import Protocol


def full(*, cap_m: float | None = None, min_depth_m: float = 1e-3) -> Protocol:
    """Score every valid pixel of the whole image.

    Options:
        cap_m: Largest true depth that is scored, and largest prediction, in metres; none by default.
        min_depth_m: Smallest true depth that is scored, and smallest prediction, in metres.
    """
    return Protocol(
        "full",
        "cliffkit: every valid pixel",
        min_depth_m=min_depth_m,
        max_depth_m=cap_m,
        clamp_low_m=min_depth_m,
        clamp_high_m=cap_m,
    )
