"""What jobs and runs leave on disk: the names of their files, and a dataclass for each file of facts.

A fact reads and writes itself, so that nothing else knows how its file is laid out. Files keep their format: whoever
changes a dataclass here changes files that other programs may read.
"""

from cliffkit.store.artifacts.exports import ExportFacts
from cliffkit.store.artifacts.facts import Fact, damaged, read_array, read_bytes, read_json
from cliffkit.store.artifacts.jobs import (
    Failure,
    JobNames,
    JobProgress,
    JobRecord,
    ReportedChoices,
    StoreStamp,
    StudyDesigns,
)
from cliffkit.store.artifacts.noise import Likeness, StudyNoise, TableNoise
from cliffkit.store.artifacts.regions import RegionScores
from cliffkit.store.artifacts.runs import PartRecord, RunParts
from cliffkit.store.artifacts.scores import (
    GivenFacts,
    GivenScores,
    PerImage,
    ProtocolScores,
    RunMetrics,
    Scores,
    Selection,
    Summary,
)
from cliffkit.store.artifacts.training import (
    NOTHING_NOTED,
    DepthFitFacts,
    EmbeddingFitFacts,
    Environment,
    FitFacts,
    FullSizeFacts,
    LevelDifferences,
    PackFacts,
)

WEIGHTS = "weights.safetensors"
"""Best weights of a trained stage; in a run's folder those of the depth network."""

LOSSES = "losses.safetensors"
"""Parameters of losses that were trained beside a depth network, of the same step; only where there are any."""

LOG = "log.jsonl"
"""A line for every step and validation of a trained stage; in a run's folder of all of them."""

PANEL = "panel.png"
"""Some test images with truth and prediction."""

RECIPE = "recipe.yaml"
"""In a run's folder, the recipe with every default written out."""

__all__ = [
    "LOG",
    "LOSSES",
    "NOTHING_NOTED",
    "PANEL",
    "RECIPE",
    "WEIGHTS",
    "DepthFitFacts",
    "EmbeddingFitFacts",
    "Environment",
    "ExportFacts",
    "Fact",
    "Failure",
    "FitFacts",
    "FullSizeFacts",
    "GivenFacts",
    "GivenScores",
    "JobNames",
    "JobProgress",
    "JobRecord",
    "LevelDifferences",
    "Likeness",
    "PackFacts",
    "PartRecord",
    "PerImage",
    "ProtocolScores",
    "RegionScores",
    "ReportedChoices",
    "RunMetrics",
    "RunParts",
    "Scores",
    "Selection",
    "StoreStamp",
    "StudyDesigns",
    "StudyNoise",
    "Summary",
    "TableNoise",
    "damaged",
    "read_array",
    "read_bytes",
    "read_json",
]
