"""The state of an interrupted fit on disk. No pickle: tensors in safetensors, the rest in JSON.

Batch order, augmentation, learning rate and random numbers are functions of seed and step, so the step restores them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cliffkit.errors import UserError
from cliffkit.store.artifacts import read_json
from cliffkit.store.files import replace_folder, write_atomic, write_json

Tensors = Mapping[str, Tensor]

_STATE = "state.json"
"""The file that makes a checkpoint whole."""

PLAIN = (int, float, str, type(None))
"""Types that JSON gives back as they were."""


@dataclass
class FitState:
    """How far a fit is, beside the weights and the optimiser."""

    step: int = 0
    """Finished steps."""
    best_step: int = 0
    best_score: float | None = None
    """None: no validation gave a finite score yet."""
    seconds: float = 0.0
    """Spent so far, over all attempts."""
    waiting_s: float = 0.0
    """Part of `seconds` that was spent waiting for data."""
    micro_batch: int | None = None
    """Micro-batch to which lack of memory forced the fit; None where the recipe's micro-batch fitted."""
    best: Tensors = field(default_factory=dict)
    """The best weights so far, on the CPU."""
    best_losses: Tensors = field(default_factory=dict)
    """The losses' parameters at that step, on the CPU, named after their losses."""
    best_optimizer: Tensors = field(default_factory=dict)
    """The optimiser's tensors at that step, on the CPU, where `reload_best: all` goes back to them."""
    best_numbers: Mapping[str, Any] = field(default_factory=dict)
    """Its numbers, as `optimizer_state` gives them."""
    average: dict[str, Tensor] | None = None
    """The weights' running average, where one is kept."""


def save_fit(folder: Path, state: FitState, objective: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Replace the checkpoint of a fit."""
    tensors, plain = optimizer_state(optimizer)
    best = {"best": state.best, "best_losses": state.best_losses, "best_optimizer": state.best_optimizer}
    groups = {"weights": weights_of(objective), "optimizer": tensors, **best}
    numbers = {name: value for name, value in vars(state).items() if name not in (*best, "average")}
    groups = groups if state.average is None else {**groups, "average": state.average}
    save_checkpoint(folder, groups, {**numbers, "optimizer": plain})


def resume_fit(folder: Path, objective: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> FitState:
    """Put the last checkpoint into the objective and its optimiser; a fresh state where there is none."""
    checkpoint = load_checkpoint(folder)
    if checkpoint is None:
        return FitState()
    groups, numbers = checkpoint
    objective.load_state_dict(groups["weights"])
    load_optimizer(optimizer, groups.get("optimizer", {}), numbers.pop("optimizer"))
    average = {name: value.to(device) for name, value in groups["average"].items()} if "average" in groups else None
    best, losses, moments = (groups.get(name, {}) for name in ("best", "best_losses", "best_optimizer"))
    return FitState(**numbers, best=best, best_losses=losses, best_optimizer=moments, average=average)


def save_tensors(path: Path, tensors: Tensors) -> None:
    """Write tensors atomically; each is made contiguous, on the CPU and unshared."""
    plain = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    write_atomic(path, lambda temporary: save_file(plain, temporary))


def keep_batch(folder: Path, step: int, batch: Tensors) -> Path:
    """Keep the batch of a step whose loss was not finite, for people to look at; gives the file."""
    path = folder / f"diverged-{step:06d}.safetensors"
    save_tensors(path, batch)
    return path


def kept_batches(folder: Path) -> list[Path]:
    """List the files of `keep_batch` in a folder."""
    return sorted(folder.glob("diverged-*.safetensors"))


def save_checkpoint(folder: Path, groups: Mapping[str, Tensors], state: Mapping[str, Any]) -> None:
    """Replace the checkpoint in `folder`, whole or not at all."""
    fresh, target = folder / "checkpoint.new", folder / "checkpoint"
    if (fresh / _STATE).exists() and not target.exists():
        fresh.rename(target)  # a replacement was cut off; its checkpoint is the last that is whole
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for name, tensors in groups.items():
        save_tensors(fresh / f"{name}.safetensors", tensors)
    write_json(fresh / _STATE, state)  # written last and atomically: its presence makes the checkpoint whole
    replace_folder(fresh, target)


def load_checkpoint(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
    """Give the last checkpoint's tensors and state, None where there is none."""
    checkpoint = _last(folder)
    if checkpoint is None:
        return None
    return {path.stem: load_file(path) for path in checkpoint.glob("*.safetensors")}, read_json(checkpoint / _STATE)


def has_checkpoint(folder: Path) -> bool:
    """Tell whether a fit that was broken off in a folder can go on from a checkpoint."""
    return _last(folder) is not None


def checkpoint_step(folder: Path) -> int | None:
    """Give the step that a fit in a folder goes on from, None where it begins anew."""
    checkpoint = _last(folder)
    return None if checkpoint is None else int(read_json(checkpoint / _STATE)["step"])


def _last(folder: Path) -> Path | None:
    """Find the last whole checkpoint.

    A kill between the two renames of a replacement leaves the new checkpoint complete under its first name.
    """
    candidates = (folder / "checkpoint", folder / "checkpoint.new")
    return next((candidate for candidate in candidates if (candidate / _STATE).exists()), None)


def drop_checkpoint(folder: Path) -> None:
    """Remove what only an unfinished fit needs."""
    for path in folder.glob("*checkpoint*"):
        shutil.rmtree(path, ignore_errors=True)


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Give the optimiser's tensors, named `3.exp_avg` by parameter and quantity, and its numbers, for JSON.

    Numbers may stand in the state of a parameter, as a count of steps, or in a group, as an estimate of the rate.
    Raises UserError for a state of another type.
    """
    whole = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, values in whole["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value
            elif isinstance(value, PLAIN):
                numbers[f"{index}.{name}"] = value
            else:
                raise UserError(
                    f"optimiser {type(optimizer).__name__} keeps a {type(value).__name__} as '{name}'; a checkpoint "
                    "holds tensors, numbers, text and None: mend the optimiser's plugin"
                )
    groups = [
        {name: value for name, value in group.items() if isinstance(value, PLAIN)} for group in whole["param_groups"]
    ]
    return tensors, {"state": numbers, "groups": groups}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors, plain: Mapping[str, Any]) -> None:
    """Put `optimizer_state` back to the bit."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **plain["state"]}.items():
        index, _, name = key.partition(".")
        like = parameters[int(index)]
        if isinstance(value, Tensor) and value.shape == like.shape:
            # In its parameter's memory layout: fused optimisers walk through both in the order of memory.
            value = torch.empty_like(like, dtype=value.dtype).copy_(value)
        state.setdefault(int(index), {})[name] = value

    whole = optimizer.state_dict()
    groups = [{**group, **numbers} for group, numbers in zip(whole["param_groups"], plain["groups"], strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": groups})

    # torch brings each tensor to its parameter's device, which is right, and to its type, which loses bits.
    for index, values in state.items():
        target = optimizer.state[parameters[index]]
        for name, value in values.items():
            if isinstance(value, Tensor) and target[name].dtype != value.dtype:
                target[name] = value.to(target[name].device)


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Give a module's parameters and buffers by name."""
    return dict(module.state_dict())


def gather(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Give the parameters and buffers of several modules, each after its module's name and a dot."""
    return {f"{name}.{key}": value for name, module in modules.items() for key, value in weights_of(module).items()}


def scatter(modules: Mapping[str, nn.Module], tensors: Tensors) -> None:
    """Put what `gather` gave back into the modules."""
    for name, module in modules.items():
        module.load_state_dict({key: tensors[f"{name}.{key}"] for key in weights_of(module)})
