"""The state of an interrupted fit on disk. No pickle: tensors in safetensors, the rest in JSON.

Batch order, augmentation, learning rate and random numbers are functions of seed and step, so the step restores them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cliffkit.errors import UserError
from cliffkit.store.artifacts import LOG, read_json
from cliffkit.store.checksums import FileSum, beginning, checksums, find_damage, sealed, unsealed
from cliffkit.store.files import sync, write_json, writing
from cliffkit.training.optimizer_state import load_optimizer, optimizer_state
from cliffkit.training.tensors import Tensors, save_tensors, weights_of

NAMES = ("checkpoint.new", "checkpoint", "checkpoint.old")
"""Folders of checkpoints, the latest first: one that is being written, the last, the one before it."""

_STATE = "state.json"
"""The file that makes a checkpoint whole. It has the checksums of the others, of the log so far, and of itself."""

_LOG = f"../{LOG}"
"""The log among the files of a checkpoint."""


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
    best_numbers: Mapping[str, Any] = field(default_factory=dict)
    """`optimizer_state` at that step, its tensors on the CPU, where `reload_best: all` goes back to it."""
    average: dict[str, Tensor] | None = None
    """The weights' running average, where one is kept."""
    log: FileSum | None = None
    """Size and checksum of the log up to the step; None where there is no log."""


def save_fit(folder: Path, state: FitState, objective: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Replace the checkpoint of a fit."""
    tensors, plain = optimizer_state(optimizer)
    best = {"best": state.best, "best_losses": state.best_losses, "best_optimizer": state.best_optimizer}
    groups = {"weights": weights_of(objective), "optimizer": tensors, **best}
    numbers = {name: value for name, value in vars(state).items() if name not in (*best, "average", "log")}
    groups = groups if state.average is None else {**groups, "average": state.average}
    save_checkpoint(folder, groups, {**numbers, "optimizer": plain}, state.log)


def resume_fit(
    folder: Path, objective: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> tuple[FitState, list[str]]:
    """Put the last sound checkpoint into the objective and its optimiser; a fresh state where there is none.

    Returns the state, and how later checkpoints are damaged.
    """
    whole, damages = _last(folder)
    if whole is None:
        return FitState(), damages
    groups, numbers = _load(whole)
    objective.load_state_dict(groups["weights"])
    load_optimizer(optimizer, groups.get("optimizer", {}), numbers.pop("optimizer"))
    average = {name: value.to(device) for name, value in groups["average"].items()} if "average" in groups else None
    best, losses, moments = (groups.get(name, {}) for name in ("best", "best_losses", "best_optimizer"))
    log = _sums(read_json(whole / _STATE)).get(_LOG)
    state = FitState(**numbers, best=best, best_losses=losses, best_optimizer=moments, average=average, log=log)
    return state, damages


def save_checkpoint(
    folder: Path, groups: Mapping[str, Tensors], state: Mapping[str, Any], log: FileSum | None = None
) -> None:
    """Save a checkpoint in `folder`, whole or not at all, and keep the one before it.

    `log` is the checksum of the fit's log so far. It is not computed here: that would read all of the log each time.
    """
    fresh, last, before = (folder / name for name in NAMES)
    if (fresh / _STATE).exists():
        _put(fresh, last, before)  # a replacement was cut off; its checkpoint is the last that is whole
    shutil.rmtree(fresh, ignore_errors=True)
    with writing(fresh):
        fresh.mkdir()
    for name, tensors in groups.items():
        save_tensors(fresh / f"{name}.safetensors", tensors)

    sums = {**checksums(fresh), **({} if log is None else {_LOG: log})}
    facts = {"state": dict(state), "files": {name: asdict(written) for name, written in sums.items()}}
    write_json(fresh / _STATE, sealed(facts))  # written last and atomically: its presence makes the checkpoint whole
    _put(fresh, last, before)


def _put(fresh: Path, last: Path, before: Path) -> None:
    """Put a fresh checkpoint in the place of the last, and the last, where it is sound, in the place of the one before.

    The log, which all of them share, is not read. A kill at any moment leaves the fresh one whole, under its first name
    or its last.
    """
    with writing(last):
        for path in fresh.iterdir():
            sync(path)
        if last.exists():
            if _damage(last, log=False) is None:
                shutil.rmtree(before, ignore_errors=True)
                os.rename(last, before)
            else:
                shutil.rmtree(last)
        os.rename(fresh, last)
        sync(last.parent)


def load_checkpoint(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
    """Give the last sound checkpoint's tensors and state, None where there is none."""
    whole, _ = _last(folder)
    return None if whole is None else _load(whole)


def has_checkpoint(folder: Path) -> bool:
    """Tell whether a fit that was broken off in a folder can go on from a checkpoint."""
    return _last(folder)[0] is not None


def checkpoint_step(folder: Path) -> int | None:
    """Give the step that a fit in a folder goes on from, None where it begins anew."""
    whole, _ = _last(folder)
    return None if whole is None else int(read_json(whole / _STATE)["state"]["step"])


def saved_step(folder: Path) -> int | None:
    """Give the step of the last checkpoint, as `checkpoint_step` does, but read neither tensors nor the log."""
    whole, _ = _last(folder, large=False)
    return None if whole is None else int(read_json(whole / _STATE)["state"]["step"])


def _load(checkpoint: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    tensors = {path.stem: load_file(path) for path in checkpoint.glob("*.safetensors")}
    return tensors, read_json(checkpoint / _STATE)["state"]


def _last(folder: Path, large: bool = True) -> tuple[Path | None, list[str]]:
    """Find the last sound checkpoint; say how later ones are damaged. Tensors and log are read only where `large`."""
    damages: list[str] = []
    for name in NAMES:
        checkpoint = folder / name
        if not checkpoint.exists() or (name == NAMES[0] and not (checkpoint / _STATE).exists()):
            continue  # a fresh one without its state was cut off while it was written
        damage = _damage(checkpoint, large, log=large)
        if damage is None:
            return checkpoint, damages
        damages.append(f"the checkpoint {checkpoint} is damaged: {damage}")
    return None, damages


def _damage(checkpoint: Path, large: bool = True, log: bool = True) -> str | None:
    """Say how a checkpoint, or the log up to it, differs from what was saved; None where it does not.

    Files of tensors are compared by size alone unless `large`, the log is compared where `log`.
    """
    try:
        facts = unsealed(read_json(checkpoint / _STATE))
    except UserError:
        facts = None
    if facts is None:
        return f"{_STATE} is missing or not as it was written"
    sums = _sums(facts)
    kept = sums.pop(_LOG, None)
    if log and kept is not None and beginning(checkpoint.parent / LOG, kept.bytes) != kept:
        return f"{LOG} does not begin as it did when the checkpoint was saved"
    return find_damage(checkpoint, sums, sums if large else ())


def _sums(facts: Mapping[str, Any]) -> dict[str, FileSum]:
    """Give the checksums in the facts of a checkpoint, by path from its folder."""
    return {name: FileSum(**written) for name, written in facts["files"].items()}


def drop_checkpoint(folder: Path) -> None:
    """Remove what only an unfinished fit needs."""
    for path in folder.glob("*checkpoint*"):
        shutil.rmtree(path, ignore_errors=True)
