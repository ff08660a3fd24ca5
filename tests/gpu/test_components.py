"""Every component on a GPU beside itself on the processor, forward and backward, in float32.

Convolutions and sums add in another order there: values agree to 1e-4 of the largest one, gradients to 1e-3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from cliffkit.components.load import load_plugins
from cliffkit.components.registry import Component
from cliffkit.interfaces import Batch, features_of
from cliffkit.method.hierarchical import HierarchicalEmbeddingLoss
from cliffkit.training.device import Device

from ..plugins.test_components import OPTIONS

VALUE, SLOPE = 1e-4, 1e-3
"""Largest difference, as a share of the largest value."""

KINDS = ("backbone", "pyramid", "fusion", "head", "embedding", "loss", "augment")
LEVELS = [(29, 38), (15, 19), (8, 10), (4, 5)]

Run = Callable[[nn.Module, Sequence[Tensor]], list[Tensor]]


def batch_of(depth: Tensor) -> Batch:
    """A batch of depth with holes."""
    random = torch.Generator().manual_seed(1)
    images, _, height, width = depth.shape
    valid = torch.rand(depth.shape, generator=random) > 0.2
    camera = torch.tensor([[40.0, 41.0, width / 2, height / 2]]).expand(images, 4)
    return Batch(torch.rand(images, 3, height, width, generator=random), depth, valid, torch.arange(images) % 3, camera)


def case(component: Component, options: dict[str, Any]) -> tuple[nn.Module, Run, list[Tensor]]:
    """A component of the processor, how it is run, and its inputs."""
    torch.manual_seed(0)
    options = {name: value for name, value in options.items() if name not in ("one_stride", "last_alone")}
    given = options.pop("given", {})
    factory: Any = component.load()
    depth = 1 + 4 * torch.rand(3, 1, 29, 38)
    match component.kind:
        case "backbone":
            return factory(**options), lambda part, x: list(part(x[0])), [torch.rand(2, 3, 64, 96)]
        case "pyramid":
            plain = component.name in ("dpt", "simple")
            strides = [16] * 4 if plain else [4, 8, 16, 32]
            levels = [torch.randn(2, 8, *(LEVELS[2] if plain else size)) for size in LEVELS]
            part = factory([8] * 4, strides, **{"channels": 12, **options})
            return part, lambda part, x: list(part(list(x))), levels
        case "fusion":
            return factory(8, **options), lambda part, x: [part(*x)], [torch.randn(2, 8, *LEVELS[k]) for k in (0, 1)]
        case "head":
            return factory(8, **options), _head, [torch.randn(2, 8, *size) for size in LEVELS[:2]]
        case "embedding":

            def levels_of(part: nn.Module, x: Sequence[Tensor]) -> list[Tensor]:
                camera = batch_of(depth).intrinsics.to(x[0].device)
                return features_of(part, x[0], camera)  # type: ignore[arg-type]

            return factory(4, **options), levels_of, [depth]
        case "loss":

            def term(part: nn.Module, x: Sequence[Tensor]) -> list[Tensor]:
                batch = batch_of(depth).map(lambda tensor: tensor.to(x[0].device))
                more = {name: value.to(x[0].device) for name, value in given.items()}
                with patch.object(torch, "rand", _Draws()):  # a GPU draws other numbers of the same seed
                    return [part(x[0], batch, **more)]

            return factory(**options), term, [depth + 0.3 * torch.randn_like(depth)]
        case _:
            step = factory(**options)
            draws = torch.rand(step.draws, 3, generator=torch.Generator().manual_seed(2))

            def changed(part: nn.Module, x: Sequence[Tensor]) -> list[Tensor]:
                batch = batch_of(depth).map(lambda tensor: tensor.to(x[0].device))
                result = step(batch._replace(image=x[0]), draws)
                return [result.image, result.depth, result.intrinsics]

            return nn.Identity(), changed, [batch_of(depth).image]


class _Draws:
    """Random numbers drawn on the processor, from the same seed for every device."""

    def __init__(self) -> None:
        self._random, self._rand = torch.Generator().manual_seed(4), torch.rand

    def __call__(self, *shape: int, device: torch.device) -> Tensor:
        return self._rand(*shape, generator=self._random).to(device)


def _head(part: nn.Module, x: Sequence[Tensor]) -> list[Tensor]:
    prediction = part(list(x))
    return [prediction.depth, *(prediction.extras[name] for name in sorted(prediction.extras))]


def values(part: nn.Module, run: Run, inputs: list[Tensor], device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs, and gradients of a fixed linear form of them by inputs and parameters; on the processor."""
    part.to(device)
    leaves = [x.detach().to(device).requires_grad_() for x in inputs]
    outputs = run(part, leaves)
    random = torch.Generator().manual_seed(3)
    forms = [torch.randn(output.shape, generator=random).to(device) for output in outputs]
    total = sum((form * output).sum() for form, output in zip(forms, outputs, strict=True) if output.requires_grad)
    slopes: Sequence[Tensor | None] = ()
    if isinstance(total, Tensor):
        asked = [*leaves, *(p for p in part.parameters() if p.requires_grad)]
        slopes = torch.autograd.grad(total, asked, allow_unused=True)
    return [o.detach().cpu() for o in outputs], [s.cpu() for s in slopes if s is not None]


def agree(found: Sequence[Tensor], expected: Sequence[Tensor], share: float) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        scale = float(theirs.nan_to_num().abs().max())
        torch.testing.assert_close(ours, theirs, rtol=share, atol=share * max(scale, 1e-3), equal_nan=True)


CASES = [
    pytest.param(component, options, id=f"{component.kind}-{component.name}-{k}")
    for component in load_plugins(strict=True).registry
    if component.kind in KINDS
    for k, options in enumerate(OPTIONS.get((component.kind, component.name), [{}]))
]


@pytest.mark.parametrize(("component", "options"), CASES)
def test_a_gpu_computes_what_the_processor_does(gpu: Device, component: Component, options: dict[str, Any]) -> None:
    part, run, inputs = case(component, options)
    expected, slopes = values(part.eval(), run, inputs, torch.device("cpu"))
    found, own = values(part, run, inputs, gpu.torch)
    agree(found, expected, VALUE)
    agree(own, slopes, SLOPE)


@pytest.mark.parametrize("name", ["heg_s", "heg_r"])
def test_the_hierarchical_loss_of_a_gpu_is_that_of_the_processor(gpu: Device, name: str) -> None:
    factory: Any = load_plugins(strict=True).registry.get("embedding", name).load()
    torch.manual_seed(0)
    loss = HierarchicalEmbeddingLoss(factory(4), (10, 15))
    batch = batch_of(1 + 4 * torch.rand(3, 1, 29, 38))
    guess = batch.depth + 0.3 * torch.randn_like(batch.depth)
    found = []
    for device in (torch.device("cpu"), gpu.torch):
        leaf = guess.detach().to(device).requires_grad_()
        term = loss.to(device)(leaf, batch.map(lambda tensor, device=device: tensor.to(device)), 1000)
        (slope,) = torch.autograd.grad(term, leaf)
        found.append((term.detach().cpu(), slope.cpu()))
    (expected, slopes), (own, own_slopes) = found
    agree([own], [expected], VALUE)
    agree([own_slopes], [slopes], SLOPE)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_an_optimiser_of_a_gpu_takes_the_steps_of_the_processor(gpu: Device, name: str) -> None:
    factory: Any = load_plugins(strict=True).registry.get("optimizer", name).load()
    ends = []
    for device in (torch.device("cpu"), gpu.torch):
        weights = nn.Parameter(torch.linspace(-1, 1, 50).to(device))
        optimizer = factory([{"params": [weights], "lr": 0.1, "weight_decay": 0.01}], 0.1)
        for step in range(5):
            optimizer.zero_grad()
            (weights.sin() * (step + 1)).sum().backward()
            optimizer.step()
        ends.append(weights.detach().cpu())
    agree(ends[1:], ends[:1], VALUE)
