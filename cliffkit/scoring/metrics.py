"""The names, units and directions of the depth metrics."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "delta1", "delta2", "delta3")

HIGHER_IS_BETTER = frozenset({"delta1", "delta2", "delta3"})

UNITS: Mapping[str, str] = MappingProxyType(
    {name: {"rmse": "m", "sq_rel": "m", "silog": "x100"}.get(name, "") for name in METRICS}
)
"""What stands behind a metric's name in a table's head; empty for plain ratios."""
