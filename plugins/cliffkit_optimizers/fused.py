"""Where torch offers fused optimisers."""

from __future__ import annotations

from collections.abc import Sequence

from cliffkit.interfaces import ParameterGroup

FUSED = ("cpu", "cuda", "mps", "xpu")
"""Types of device on which Adam, AdamW and SGD of torch have a fused step."""


def is_fused(groups: Sequence[ParameterGroup]) -> bool:
    """Tell whether one kernel can update all parameters of a group at once."""
    return all(
        parameter.device.type in FUSED and parameter.is_floating_point()
        for group in groups
        for parameter in group["params"]
    )
