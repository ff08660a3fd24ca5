"""Is a difference between recipes more than noise? Estimates, contrasts and verdicts over crossed seeds and images."""

from cliffkit.statistics.contrasts import Estimator, Grid, holm, interaction, main_effect, pooled, shapley
from cliffkit.statistics.estimate import (
    Estimate,
    Floats,
    Variance,
    compare,
    estimate,
    mean_squares,
    noise_of_mean,
)
from cliffkit.statistics.noise import Noise, mean_noise, noise_of
from cliffkit.statistics.planning import detectable
from cliffkit.statistics.sequential import Design, Look
from cliffkit.statistics.verdict import (
    BETTER,
    EQUIVALENT,
    FEW_IMAGES,
    NOISE,
    THESE_WEIGHTS,
    UNMEASURED,
    WORSE,
    equivalent,
    leaning,
    verdict,
)

__all__ = [
    "BETTER",
    "EQUIVALENT",
    "FEW_IMAGES",
    "NOISE",
    "THESE_WEIGHTS",
    "UNMEASURED",
    "WORSE",
    "Design",
    "Estimate",
    "Estimator",
    "Floats",
    "Grid",
    "Look",
    "Noise",
    "Variance",
    "compare",
    "detectable",
    "equivalent",
    "estimate",
    "holm",
    "interaction",
    "leaning",
    "main_effect",
    "mean_noise",
    "mean_squares",
    "noise_of",
    "noise_of_mean",
    "pooled",
    "shapley",
    "verdict",
]
