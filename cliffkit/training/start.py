"""Weights of another training to start from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from cliffkit.errors import UserError
from cliffkit.recipe.fit import Fit, weights_file
from cliffkit.store.job import Job
from cliffkit.training.tensors import Tensors, weights_of

LISTED = 6
"""Differences that a message lists."""


def load_start(module: nn.Module, training: Fit, stage: str, job: Job | None = None) -> str | None:
    """Load the weights that the recipe says to start from; give the hash of their file, None where it says nothing.

    Raises UserError as `start_from` does, and where the file has changed since the job was planned.
    """
    init, place = training.settings.init, f"train.{stage}.init"
    if init is None:
        return None
    path = weights_file(init)
    digest = start_from(module, path, place)
    if job is not None and digest != job.inputs["train"]["init"]:
        raise UserError(f"{place}: {path} has changed since this job was planned; run again")
    return digest


def start_from(module: nn.Module, path: Path, place: str) -> str:
    """Load weights into a module; give the hash of their file.

    Raises UserError where the file cannot be read, or its weights are not those of the module: same names, same shapes.
    """
    try:
        content = path.read_bytes()
        weights: Tensors = load(content)
    except OSError as error:
        raise UserError(f"{place}: {path} cannot be read: {error.strerror}; give a run's folder or a file") from error
    except SafetensorError as error:
        raise UserError(
            f"{place}: {path} holds no weights: {error}; give a file in the format of safetensors"
        ) from error

    differences = list(_differences(weights_of(module), weights))
    if differences:
        more = f", and {len(differences) - LISTED} more" if len(differences) > LISTED else ""
        raise UserError(
            f"{place}: the weights in {path} are those of another network: {', '.join(differences[:LISTED])}{more}; "
            "start from a run whose model is the same"
        )
    module.load_state_dict(weights)
    return hashlib.sha256(content).hexdigest()


def _differences(expected: Tensors, loaded: Tensors) -> Iterable[str]:
    """Describe each name that only one of the two has, and each name whose shapes differ."""
    for name in sorted(expected.keys() | loaded.keys()):
        if name not in loaded:
            yield f"{name} is missing"
        elif name not in expected:
            yield f"{name} has no place"
        elif expected[name].shape != loaded[name].shape:
            yield f"{name} is {_shape(loaded[name])} instead of {_shape(expected[name])}"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
