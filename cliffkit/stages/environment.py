"""What a fit is trained with: device, settings, versions, and weights that no key knows; over all of its attempts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from torch import nn

from cliffkit.errors import UserError
from cliffkit.stages.context import Context
from cliffkit.store.artifacts import Environment
from cliffkit.training.checkpoint import saved_step

BESIDE_THE_NUMBERS = ("precision_reason", "nondeterministic", "earlier_attempts")
"""Entries of an environment in which attempts are not compared."""


@contextmanager
def trained_with(context: Context, module: nn.Module) -> Iterator[None]:
    """Leave environment.json in the job's folder, before the fit within begins and once more when it has ended.

    A fit that goes on from a checkpoint keeps what the attempts before were trained with, where that was different.
    """
    device = context.device
    if not device.accelerator.is_main_process:
        yield
        return
    fetched = {name: content for part in module.modules() for name, content in getattr(part, "fetched", {}).items()}
    before = _before(context)

    def write() -> None:
        now = device.environment()
        now = replace(now, versions={**now.versions, **fetched})
        (now if before is None else _joined(before, now)).write(context.folder)

    write()
    yield
    write()  # operations without a deterministic kernel were met meanwhile


def _before(context: Context) -> Environment | None:
    """Read what the attempt before was trained with; None where this one begins anew."""
    if saved_step(context.folder) is None:
        return None
    try:
        return Environment.read(context.folder)
    except UserError:  # killed before it was written, or damaged
        return None


def _joined(before: Environment, now: Environment) -> Environment:
    """Keep in the environment of now what the attempts before had otherwise."""
    here = now.flat()
    there = {name: value for name, value in before.flat().items() if name not in BESIDE_THE_NUMBERS}
    differing = ", ".join(f"{name} {value}" for name, value in there.items() if here.get(name) != value)
    earlier = dict.fromkeys([*before.earlier_attempts, *([differing] if differing else [])])
    operations = dict.fromkeys([*before.nondeterministic, *now.nondeterministic])
    return replace(now, earlier_attempts=tuple(earlier), nondeterministic=tuple(operations))
