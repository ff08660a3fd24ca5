"""Is a difference between recipes more than noise? Estimates, contrasts and verdicts over crossed seeds and images."""

from cliffkit.statistics.contrasts import Grid, holm, interaction, main_effect, pooled, shapley
from cliffkit.statistics.estimate import Estimate, Floats, Variance, compare, estimate, mean_squares, noise_of_mean
from cliffkit.statistics.verdict import (
    BETTER,
    NOISE,
    THESE_WEIGHTS,
    UNMEASURED,
    WORSE,
    leaning,
    verdict,
)

__all__ = [
    "BETTER",
    "NOISE",
    "THESE_WEIGHTS",
    "UNMEASURED",
    "WORSE",
    "Estimate",
    "Floats",
    "Grid",
    "Variance",
    "compare",
    "estimate",
    "holm",
    "interaction",
    "leaning",
    "main_effect",
    "mean_squares",
    "noise_of_mean",
    "pooled",
    "shapley",
    "verdict",
]
