"""The least memory that a recipe needs, estimated before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cliffkit.errors import UserError
from cliffkit.method.network import DepthNetwork
from cliffkit.recipe.recipe import Recipe

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says how much memory a container may take, in its second and first version of control groups."""

PIXEL_BYTES = 20
"""Bytes per pixel of a batch: 8-bit colours, depth as stored and in metres, its mask; then colours as float32."""

IMAGE_BYTES = 12
"""Bytes per pixel of an image that the network is shown: three colours as float32."""

FEATURE_BYTES = 2
"""Bytes per feature in bfloat16, half of what float32 takes."""

SMALL = 2**26
"""Smallest tensor that is checked, bytes. So the free memory is asked for a few times only."""


class Guard(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context in which a tensor is refused that would not fit beside all that this process holds.

    Only tensors that are made by their shape are seen, as weights are. Raises UserError before they are allocated.
    """

    def __init__(self, memory: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.memory = memory

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        shape = args[0] if args and isinstance(args[0], list | tuple) else ()
        if shape and all(isinstance(size, int) for size in shape):
            asked = math.prod(shape) * (kwargs.get("dtype") or torch.get_default_dtype()).itemsize
            if asked > SMALL and asked + psutil.Process().memory_info().rss > self.memory:
                raise UserError(
                    f"a tensor of shape {tuple(shape)} takes {amount(asked)} of memory, more than is left of "
                    f"{amount(self.memory)} here; lower the option that makes it so large, as channels"
                )
        return func(*args, **kwargs)


def memory_of(device: torch.device) -> int:
    """Give the bytes of a device's memory; on a CPU all that this process may take, with swap space."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    limits = [psutil.virtual_memory().total]
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # no such file, or no limit: `max`
            limits.append(int(path.read_text(encoding="ascii")))
    return int(min(limits) + psutil.swap_memory().total)


def check_images(recipe: Recipe, sizes: Sequence[tuple[int, int]], devices: Sequence[torch.device], world: int) -> None:
    """Raise UserError where a batch of any stage, or a single image, takes more memory than there is.

    `sizes` are those of images that the network is shown; `world` processes share a batch.
    """
    train, (height, width) = recipe.train, recipe.data.engine["size"]
    needs = {}
    for stage, fit in (("depth", train.depth), ("embedding", train.embedding)):
        if fit is not None:
            share = math.ceil(fit.settings.batch / world)
            label = f"train.{stage}: a batch of {fit.settings.batch} images of {height}x{width} pixels"
            needs[label] = share * height * width * PIXEL_BYTES, f"train.{stage}.batch or data.size"
    for high, wide in sizes:
        needs[f"data.size: an image of {high}x{wide} pixels"] = high * wide * IMAGE_BYTES, "data.size"
    _check(recipe, needs, devices)


def check_network(
    recipe: Recipe, network: DepthNetwork, sizes: Sequence[tuple[int, int]], devices: Sequence[torch.device]
) -> None:
    """Raise UserError where weights, or the features of a single image, take more memory than there is."""
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    needs = {"model: its weights, with a copy of the best": (2 * weights, "channels, or take a smaller backbone")}
    backbone, width_of_pyramid = network.backbone, network.pyramid.channels
    for high, wide in sizes:
        levels = zip(backbone.channels, backbone.strides, strict=True)
        features = sum((c + width_of_pyramid) * (high // stride) * (wide // stride) for c, stride in levels)
        label = f"model: the features of an image of {high}x{wide} pixels"
        needs[label] = features * FEATURE_BYTES, "data.size or channels"
    _check(recipe, needs, devices)


def amount(count: float) -> str:
    """Write a number of bytes: `36.0 TB`, `512 MB`."""
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e6:.0f} MB"


def _check(recipe: Recipe, needs: dict[str, tuple[int, str]], devices: Sequence[torch.device]) -> None:
    faults: dict[str, None] = {}
    for device in devices:
        memory = memory_of(device)
        for label, (count, remedy) in needs.items():
            if count > memory:
                where = "the GPU" if device.type == "cuda" else "this machine"
                text = f"takes at least {amount(count)} of memory, and {where} has {amount(memory)}; lower {remedy}"
                faults[f"{recipe.name}: {label} {text}"] = None
    if faults:
        raise UserError("\n".join(faults))
