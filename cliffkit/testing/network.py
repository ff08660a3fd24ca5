"""Checks of the parts of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cliffkit.interfaces import Backbone, Fusion, Head, Network, Prediction, Pyramid
from cliffkit.layers import level_size
from cliffkit.testing.common import build, check_module, expect, expect_shapes, expect_training, seeded


def check_backbone(factory: Callable[..., Backbone], **options: Any) -> None:
    """Check a backbone: `factory(**options)`."""
    with seeded():
        backbone = build(lambda: factory(**options), Backbone)
        subject, strides = type(backbone).__name__, list(backbone.strides)
        expect(
            len(backbone.channels) == len(strides) >= 2,
            f"{subject}: channels {list(backbone.channels)} and strides {strides} must name the same levels, at least "
            "two",
        )
        expect(
            strides == sorted(strides) and all(max(strides) % stride == 0 for stride in strides),
            f"{subject}: strides are {strides}; they must run from fine to coarse and divide the coarsest",
        )
        multiple = max(strides) if backbone.multiple is None else backbone.multiple
        _expect_multiple(subject, multiple)
        high, wide = (multiple * math.ceil(count * max(strides) / multiple) for count in (2, 3))
        for size in ((high, wide), (high + multiple, wide - multiple)):
            levels = _tried(backbone, size, multiple)
            expect_shapes(
                f"{subject} on {size[0]}x{size[1]}, as `multiple = {multiple}` allows",
                levels,
                [(2, c, *level_size(size, s)) for c, s in zip(backbone.channels, strides, strict=True)],
            )
        image = torch.rand(2, 3, high, wide)
        check_module(lambda: factory(**options), lambda module, inputs: list(module(inputs[0])), [image])


def check_pyramid(
    factory: Callable[..., Pyramid], *, one_stride: bool = False, last_alone: bool = False, **options: Any
) -> None:
    """Check a pyramid: `factory(channels, strides, **options)`.

    With `one_stride` it is checked on the levels of vision transformers alone, all of one stride. `last_alone` says
    that it reads no level but the last.
    """
    cases: list[tuple[list[int], list[int], list[tuple[int, int]]]] = [
        ([6, 8], [2, 4], [(12, 16), (6, 8)]),
        ([6, 8, 10, 12], [4, 8, 16, 32], [(29, 38), (15, 19), (8, 10), (4, 5)]),  # odd: as at 116x152
        ([8, 8, 8, 8], [16, 16, 16, 16], [(4, 5)] * 4),  # as vision transformers have it
        ([6, 6, 6], [14, 14, 14], [(3, 4)] * 3),
    ]
    if one_stride:
        cases = [case for case in cases if len(set(case[1])) == 1]
    with seeded():
        for channels, strides, sizes in cases:

            def make(channels: list[int] = channels, strides: list[int] = strides) -> Pyramid:
                return factory(channels, strides, **options)

            pyramid = build(make, Pyramid)
            levels = [torch.randn(2, c, *size) for c, size in zip(channels, sizes, strict=True)]
            scales = pyramid.scales or [1] * len(sizes)
            expect(
                len(scales) == len(sizes) and list(scales) == sorted(scales, reverse=True) and min(scales) > 0,
                f"{type(pyramid).__name__}: scales are {list(scales)}; they must be above 0, one for each of "
                f"{len(sizes)} levels, from fine to coarse",
            )
            expect_shapes(
                f"{type(pyramid).__name__} on levels of {channels} channels and sizes {sizes}",
                pyramid(list(levels)),
                [
                    (2, pyramid.channels, math.ceil(height * scale), math.ceil(width * scale))
                    for (height, width), scale in zip(sizes, scales, strict=True)
                ],
            )
            ignored = levels[:-1] if last_alone else []

            def features(module: Any, inputs: Sequence[Tensor], ignored: list[Tensor] = ignored) -> list[Tensor]:
                return list(module([*(level[: len(inputs[0])] for level in ignored), *inputs]))

            check_module(make, features, levels[len(ignored) :])
            expect_training(type(pyramid).__name__, make(), [levels])


def check_fusion(factory: Callable[..., Fusion], **options: Any) -> None:
    """Check a fusion: `factory(channels, **options)`."""
    channels = 8

    def make() -> Fusion:
        return factory(channels, **options)

    with seeded():
        subject = type(build(make, Fusion)).__name__
        for fine_size, coarse_size in (((12, 16), (6, 8)), ((29, 37), (15, 19)), ((4, 5), (4, 5)), ((2, 3), (1, 2))):
            fine, coarse = torch.randn(2, channels, *fine_size), torch.randn(2, channels, *coarse_size)
            expect_shapes(
                f"{subject} of {coarse_size} into {fine_size}", [make()(fine, coarse)], [(2, channels, *fine_size)]
            )
            check_module(make, lambda module, inputs: [module(*inputs)], [fine, coarse])
            expect_training(subject, make(), [fine, coarse])


def check_head(factory: Callable[..., Head], **options: Any) -> None:
    """Check a head: `factory(channels, **options)`."""
    channels = 8

    def make() -> Head:
        return factory(channels, **options)

    def depth_and_extras(module: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        prediction: Prediction = module(list(inputs))
        return [prediction.depth, *(prediction.extras[name] for name in sorted(prediction.extras))]

    with seeded():
        subject = type(build(make, Head)).__name__
        for sizes in ([(12, 16), (6, 8)], [(29, 37), (15, 19), (8, 10)], [(4, 5), (4, 5)]):
            fused = [torch.randn(2, channels, *size) for size in sizes]
            head = make().eval()
            prediction = head(list(fused))
            _expect_prediction(subject, prediction, head.gives)
            expect_shapes(f"{subject} on features of {sizes[0]}: depth", [prediction.depth], [(2, 1, *sizes[0])])
            _check_head_module(make, depth_and_extras, fused)
            _expect_float32(subject, make(), [_laid_out(level, torch.bfloat16) for level in fused])


def check_network(factory: Callable[..., Network], **options: Any) -> None:
    """Check a network: `factory(**options)`, on images whose sides are multiples of its `multiple`, of 32 pixels up."""

    def make() -> Network:
        return factory(**options)

    def depth_and_extras(module: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        prediction: Prediction = module(inputs[0])
        return [prediction.depth, *(prediction.extras[name] for name in sorted(prediction.extras))]

    with seeded():
        network = build(make, Network).eval()
        subject, multiple = type(network).__name__, network.multiple
        _expect_multiple(subject, multiple)
        side = multiple * math.ceil(32 / multiple)
        for size in ((2 * side, 2 * side + multiple), (side + multiple, side)):
            prediction = _tried(network, size, multiple)
            _expect_prediction(subject, prediction, network.gives)
            depth = prediction.depth
            expect_shapes(f"{subject} on {size[0]}x{size[1]}: depth", [depth], [(2, 1, *depth.shape[2:4])])

        image = torch.rand(2, 3, 2 * side, 2 * side + multiple)
        check_module(make, depth_and_extras, [image])
        _expect_float32(subject, make(), _laid_out(image, torch.float32))


def _expect_multiple(subject: str, multiple: object) -> None:
    expect(
        isinstance(multiple, int) and multiple >= 1,
        f"{subject}: multiple is {multiple!r}; it must be a whole number of pixels, 1 where any size will do",
    )


def _tried(part: Backbone | Network, size: tuple[int, int], multiple: int) -> Any:
    """Give what a part makes of images of a size that its `multiple` says it takes."""
    try:
        return part(torch.rand(2, 3, *size))
    except Exception as error:  # whatever a stranger's model raises
        raise AssertionError(
            f"{type(part).__name__} on {size[0]}x{size[1]}: {type(error).__name__}: {error}; mend its forward, or "
            f"raise `multiple`, which is {multiple}"
        ) from error


def _expect_prediction(subject: str, prediction: object, gives: Sequence[str]) -> None:
    """Check what a head or network gives: its type, the names of its extras and their batch axis."""
    expect(
        isinstance(prediction, Prediction),
        f"{subject}: forward gives a {type(prediction).__name__}, expected a cliffkit.interfaces.Prediction",
    )
    assert isinstance(prediction, Prediction)
    expect(
        sorted(prediction.extras) == sorted(gives),
        f"{subject}: gives {sorted(prediction.extras)} beside depth, and `gives` says {sorted(gives)}",
    )
    expect(
        all(len(extra) == 2 for extra in prediction.extras.values()),
        f"{subject}: what it gives beside depth must have a leading batch axis",
    )


def _check_head_module(make: Callable[[], Head], call: Callable[..., list[Tensor]], fused: list[Tensor]) -> None:
    """Check the rules of every module, for the levels that the head reads: most read the finest alone."""
    levels = [level.clone().requires_grad_() for level in fused]
    total = torch.stack([output.float().sum() for output in call(make(), levels)]).sum()
    slopes = torch.autograd.grad(total, levels, allow_unused=True)
    read = [k for k, slope in enumerate(slopes) if slope is not None]

    def with_others(module: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        whole = [level[: len(inputs[0])] for level in fused]
        for k, level in zip(read, inputs, strict=True):
            whole[k] = level
        return call(module, whole)

    check_module(make, with_others, [fused[k] for k in read])


def _laid_out(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Lay a tensor out as training has it."""
    return tensor.to(dtype, memory_format=torch.channels_last)


def _expect_float32(subject: str, part: Head | Network, inputs: Tensor | list[Tensor]) -> None:
    """Check that depth is float32 under autocast: in bfloat16, depth near 3 m comes in steps of 1.6 cm."""
    try:
        with torch.autocast("cpu", torch.bfloat16):
            depth = part(inputs).depth
    except RuntimeError as error:
        raise AssertionError(f"{subject}: cannot take bfloat16 features, as training has them: {error}") from error
    expect(
        depth.dtype == torch.float32,
        f"{subject}: depth is {depth.dtype} under autocast, expected torch.float32; compute the last layer in float32, "
        "as cliffkit.layers.in_float32 does",
    )
