"""The least memory that a recipe needs, estimated before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from cliffkit.errors import Fault, RecipeError, UserError
from cliffkit.layers import level_size
from cliffkit.method.network import ChainNetwork, DepthNetwork
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


def image_sizes(recipe: Recipe) -> list[tuple[int, int]]:
    """Give each size (height, width) that the network sees, the largest last, at the scale of training."""
    (height, width), crop = recipe.data.engine["size"], recipe.data.engine["crop"]
    shares = {crop, 1.0, *(protocol.view.region for protocol in recipe.protocols)}
    return sorted((max(1, round(height / crop * share)), max(1, round(width / crop * share))) for share in shares)


def check_images(recipe: Recipe, devices: Sequence[torch.device], world: int = 1) -> None:
    """Raise RecipeError where a single image, or else a batch of any stage, takes more memory than there is.

    `world` processes share a batch. Needs no data and builds nothing.
    """
    high, wide = image_sizes(recipe)[-1]
    what, count = f"an image of {high}x{wide} pixels", high * wide * IMAGE_BYTES
    _check([_Need(recipe.places["data.size"], "data.size", what, count, "data.size")], devices)

    train, (height, width) = recipe.train, recipe.data.engine["size"]
    needs = []
    for stage, fit in (("depth", train.depth), ("embedding", train.embedding)):
        if fit is not None:
            share, path = math.ceil(fit.settings.batch / world), f"train.{stage}.batch"
            what = f"a batch of {fit.settings.batch} images of {height}x{width} pixels"
            count = share * height * width * PIXEL_BYTES
            needs.append(_Need(recipe.places[path], path, what, count, f"{path} or data.size"))
    _check(needs, devices)


def check_network(recipe: Recipe, network: DepthNetwork, devices: Sequence[torch.device]) -> None:
    """Raise RecipeError where weights, or the features of a single image, take more memory than there is.

    Of a network that is one part the features are not known.
    """
    weights, features = _weights_of(network), []
    place, remedy = next(iter(recipe.model.values())).place, "its size, or take another"
    if isinstance(network, ChainNetwork):
        features = [_features(recipe, network)]
        if 2 * _weights_of(network.backbone) < weights:  # fusions and head are as wide as the pyramid
            place, remedy = recipe.model["pyramid"].place, "its channels"
    _check([_Need(place, "", "the network with a copy of its best weights", 2 * weights, remedy), *features], devices)


def _features(recipe: Recipe, network: ChainNetwork) -> _Need:
    """Estimate the features of a single image."""
    backbone, width_of_pyramid = network.backbone, network.pyramid.channels
    size = image_sizes(recipe)[-1]
    scales = network.pyramid.scales or [1.0] * len(backbone.strides)
    levels = zip(backbone.channels, backbone.strides, scales, strict=True)
    features = sum(
        int((c + width_of_pyramid * scale**2) * math.prod(level_size(size, stride))) for c, stride, scale in levels
    )
    what, count = f"an image of {size[0]}x{size[1]} pixels with its features", features * FEATURE_BYTES
    return _Need(recipe.places["data.size"], "data.size", what, count, "data.size or channels")


def amount(count: float) -> str:
    """Write a number of bytes: `36.0 TB`, `512 MB`."""
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e6:.0f} MB"


@dataclass(frozen=True)
class _Need:
    """The least memory that one thing needs."""

    place: str
    """Where the value to lower is written."""
    path: str
    """Path of the value in the recipe; empty where the place names a part."""
    what: str
    count: int
    """Bytes."""
    remedy: str
    """What to lower."""


def _weights_of(module: nn.Module) -> int:
    """Count the bytes of a module's weights."""
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())


def _check(needs: Sequence[_Need], devices: Sequence[torch.device]) -> None:
    faults: dict[Fault, None] = {}
    for device in devices:
        memory = memory_of(device)
        where = "the GPU" if device.type == "cuda" else "this machine"
        for need in needs:
            if need.count > memory:
                takes = f"{need.what} takes at least {amount(need.count)} of memory"
                message = f"{takes}, and {where} has {amount(memory)}; lower {need.remedy}"
                faults[Fault(need.place, need.path, message)] = None
    if faults:
        raise RecipeError(faults)
