"""The four stages: functions of a job and its context that fill the job's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cliffkit.stages.context import Context
from cliffkit.stages.depth import fit_depth
from cliffkit.stages.embedding import fit_embedding
from cliffkit.stages.evaluate import evaluate
from cliffkit.stages.pack import pack
from cliffkit.store.job import Job

STAGES: Mapping[str, Callable[[Job, Context], None]] = {
    "pack": pack,
    "embedding": fit_embedding,
    "depth": fit_depth,
    "evaluate": evaluate,
}
TRAINED = ("embedding", "depth")
"""Stages that all processes of a distributed run work on together; the others are the main one's."""
