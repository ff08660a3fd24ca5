"""Names of the columns that stand beside a study's axes, in its CSV files and in `Findings.table`."""

from __future__ import annotations

from cliffkit.scoring.metrics import METRICS

CELL = ("variant", "seed")
"""Before and behind the axes, of a line on a cell."""

RESULT = ("protocol", "metric", "value", "images", "state")
"""Of `results.csv`, behind the cell and the values that a search chose."""

IMAGE = ("protocol", "image", *METRICS)
"""Of `per_image.csv`, behind the cell."""

VARIANT = (
    *("mean", "mean_low", "mean_high", "difference", "low", "high"),
    *("p", "verdict", "best", "tied", "seeds", "images"),
)
"""Of `Findings.table`, behind variant and axes."""

TAKEN = tuple(dict.fromkeys((*CELL, *RESULT, *IMAGE, *VARIANT)))
"""Names that no axis may have."""
