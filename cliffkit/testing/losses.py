"""Checks of embedding generators and losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cliffkit.interfaces import Batch, Embedding, Loss, features_of
from cliffkit.testing.common import (
    build,
    check_device,
    check_module,
    check_parameter_gradients,
    equal,
    expect,
    expect_scalar,
    fake,
    moves,
    seeded,
    to_fake_cuda,
    twice,
    unsettle,
)

Call = Callable[[Tensor, Batch], Tensor]
"""A loss of a prediction and a batch, all other arguments bound."""


def check_embedding(factory: Callable[..., Embedding], *, scene_types: int = 4, **options: Any) -> None:
    """Check an embedding generator: `factory(scene_types, **options)`."""

    def make() -> Embedding:
        return factory(scene_types, **options)

    with seeded():
        embedding = build(make, Embedding)
        subject = type(embedding).__name__
        for height, width in ((24, 32), (23, 29)):
            depth = _batch(height, width, scene_types).dense_depth()
            levels = _features(embedding, [depth])
            expect(
                len(levels) == embedding.levels,
                f"{subject}: forward gives {len(levels)} levels, and `levels` says {embedding.levels}",
            )
            for k, level in enumerate(levels):
                expect(
                    level.ndim == 4 and level.shape[0] == len(depth),
                    f"{subject} on {height}x{width}: level {k} has shape {tuple(level.shape)}, expected 4 axes",
                )
            # The objective reaches the parameters that these features do not, such as a classifier's.
            for call in (_features, _features_of_known_cameras) if embedding.takes_cameras else (_features,):
                check_module(make, call, [depth], parameters=False)
            if type(embedding).classify is not Embedding.classify:  # overridden, as stage `embedding` asks too
                guess = embedding.classify(depth)
                expect(
                    tuple(guess.shape) == (len(depth), scene_types) and bool(guess.isfinite().all()),
                    f"{subject}.classify: gives {tuple(guess.shape)}, expected a finite score of each of "
                    f"{scene_types} scene types for {len(depth)} images",
                )
            if embedding.trained:
                expect(
                    type(embedding).objective is not Embedding.objective,
                    f"{subject}: is trained and has no method `objective(batch)`; add one, or say `trained = False`",
                )
                _check_objective(make, _batch(height, width, scene_types))
            else:
                expect(
                    not list(embedding.parameters()),
                    f"{subject}: the generator has parameters, and `trained` says that it has none",
                )


def _features(embedding: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Compute features of depth; a generator that wants cameras is told that none is known."""
    (depth,) = inputs
    return list(features_of(embedding, depth, torch.full((len(depth), 4), torch.nan, device=depth.device)))


def _features_of_known_cameras(embedding: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    (depth,) = inputs
    camera = torch.tensor([30.0, 31.0, depth.shape[3] / 2, depth.shape[2] / 2], device=depth.device)
    return list(features_of(embedding, depth, camera.expand(len(depth), 4)))


def check_loss(factory: Callable[..., Loss], *, given: dict[str, Tensor] | None = None, **options: Any) -> None:
    """Check a loss: `factory(**options)`.

    `given` holds, for three images, what a loss with `needs` takes from the head beside depth.
    """
    with seeded():
        loss = build(lambda: factory(**options), Loss)
        subject, given = type(loss).__name__, given or {}
        expect(
            set(loss.needs) == set(given),
            f"{subject}: needs {sorted(loss.needs)}, and `given` holds {sorted(given)}; give check_loss what it needs",
        )

        def call(prediction: Tensor, batch: Batch) -> Tensor:
            torch.manual_seed(1)  # for losses that draw: the engine seeds torch in every step too
            needed = given if len(batch.image) == 3 else {name: twice(tensor) for name, tensor in given.items()}
            value: Tensor = loss(prediction, batch, **needed)
            return value

        for height, width in ((24, 32), (17, 23)):
            batch = _batch(height, width, scene_types=1)
            truth = batch.filled_depth()
            prediction = truth + 0.5 + torch.rand_like(truth)
            if not given:  # else the prediction may reach the loss by what is given alone
                _check_holes(subject, call, prediction, batch)
                _check_order(subject, call, truth, prediction, batch)
            else:
                _check_invalid(subject, call, prediction, batch)
        on_cuda = {name: tensor.shape for name, tensor in given.items()}

        def run() -> list[Tensor]:
            needed = {name: torch.empty(shape, device="cuda") for name, shape in on_cuda.items()}
            return [to_fake_cuda(loss)(fake(prediction), batch.map(fake), **needed)]

        check_device(subject, run)


def _check_order(subject: str, call: Call, truth: Tensor, prediction: Tensor, batch: Batch) -> None:
    """Check that a perfect prediction is better than a wrong one, and that a batch counts as the mean of its images."""
    value, perfect = call(prediction, batch).detach(), call(truth, batch).detach()
    expect(
        bool(perfect < value),
        f"{subject}: {perfect:g} where the prediction is perfect and {value:g} where it is 0.5 to "
        "1.5 m off; the perfect one must be less",
    )
    perfect_slope = _slope(call, truth, batch)
    expect(bool(perfect_slope.isfinite().all()), f"{subject}: the gradient at a perfect prediction is not finite")
    if _draws(call, truth, batch):
        return  # other numbers are drawn for a repeated batch
    repeated = call(twice(prediction), batch.map(twice)).detach()
    expect(
        torch.allclose(value, repeated, rtol=1e-4),
        f"{subject}: a batch repeated gives {repeated:g} instead of {value:g}; a loss is a mean",
    )


def _draws(call: Call, prediction: Tensor, batch: Batch) -> bool:
    """Say whether a loss takes random numbers from torch's generator, which `call` seeds with 1."""
    call(prediction, batch)
    after = torch.get_rng_state()
    torch.manual_seed(1)
    return not torch.equal(after, torch.get_rng_state())


def _check_objective(make: Callable[[], Embedding], batch: Batch) -> None:
    """Check an objective: a float32 scalar that trains every parameter and sees no invalid pixel."""
    embedding = make().train()
    subject = f"{type(embedding).__name__}.objective"
    unsettle(embedding)
    torch.manual_seed(1)  # for dropout
    value = embedding.objective(batch)
    expect_scalar(subject, value)
    value.backward()  # type: ignore[no-untyped-call]
    check_parameter_gradients(subject, embedding)
    slopes = [p.grad for p in embedding.parameters()]

    for junk in (torch.nan, torch.inf, 1e6):
        twin = make().train()
        twin.load_state_dict(embedding.state_dict())
        torch.manual_seed(1)
        other = twin.objective(_spoil(batch, junk))
        expect(torch.equal(value, other), f"{subject}: {value:g} becomes {other:g} with {junk} in invalid pixels")
        other.backward()  # type: ignore[no-untyped-call]
        expect(
            all(equal(p.grad, slope) for p, slope in zip(twin.parameters(), slopes, strict=True)),
            f"{subject}: a gradient changes with {junk} in invalid pixels",
        )
    check_device(subject, lambda: [to_fake_cuda(twin).objective(batch.map(fake))])

    unlabelled = batch._replace(scene=torch.full_like(batch.scene, -1))
    for case, bare in (
        ("no image has a scene type", unlabelled),
        ("no pixel is valid", batch._replace(valid=torch.zeros_like(batch.valid))),
    ):
        expect(bool(embedding.objective(bare).isfinite()), f"{subject}: is not finite where {case}")


def _check_holes(subject: str, call: Call, prediction: Tensor, batch: Batch) -> None:
    """Check that invalid pixels change neither value nor gradient, and that both are 0 without a valid pixel."""
    value = call(prediction, batch)
    expect_scalar(subject, value)
    slope = _slope(call, prediction, batch)
    expect(moves(slope), f"{subject}: no gradient reaches the prediction")
    expect(not slope[~batch.valid].any(), f"{subject}: the gradient in invalid pixels is not 0")
    _check_invalid(subject, call, prediction, batch)
    for junk in (torch.nan, torch.inf, -torch.inf, 1e6):
        spoilt = torch.where(batch.valid, prediction, torch.full_like(prediction, junk))
        expect(
            torch.equal(slope, _slope(call, spoilt, _spoil(batch, junk))),
            f"{subject}: the gradient changes with {junk} in invalid pixels; mask before arithmetic, not after",
        )
    nothing = batch._replace(valid=torch.zeros_like(batch.valid))
    expect(
        not _slope(call, prediction, nothing).any(),
        f"{subject}: the gradient is not 0 where no pixel is valid",
    )


def _check_invalid(subject: str, call: Call, prediction: Tensor, batch: Batch) -> None:
    """Check that invalid pixels do not change the value, and that it is 0 without a valid pixel."""
    value = call(prediction, batch).detach()
    expect_scalar(subject, value)
    for junk in (torch.nan, torch.inf, -torch.inf, 1e6):
        spoilt = torch.where(batch.valid, prediction, torch.full_like(prediction, junk))
        other = call(spoilt, _spoil(batch, junk)).detach()
        expect(
            torch.equal(value, other),
            f"{subject}: {value:g} becomes {other:g} with {junk} in invalid pixels; mask before arithmetic",
        )
    nothing = batch._replace(valid=torch.zeros_like(batch.valid))
    empty = call(prediction, nothing).detach()
    expect(float(empty) == 0, f"{subject}: {empty:g} where no pixel is valid, expected 0")


def _batch(height: int, width: int, scene_types: int) -> Batch:
    """Make three images of 1 to 5 m, a quarter of their pixels and one block invalid; the last has no scene type."""
    shape = (3, 1, height, width)
    valid = torch.rand(shape) < 0.75
    valid[0, :, :12, :14] = False
    return Batch(
        image=torch.randint(0, 256, (3, 3, height, width), dtype=torch.uint8).float() / 255,
        depth=1 + 4 * torch.rand(shape),
        valid=valid,
        scene=torch.tensor([0, scene_types - 1, -1]),
        intrinsics=torch.full((3, 4), torch.nan),
    )


def _spoil(batch: Batch, junk: float) -> Batch:
    return batch._replace(depth=torch.where(batch.valid, batch.depth, torch.full_like(batch.depth, junk)))


def _slope(call: Call, prediction: Tensor, batch: Batch) -> Tensor:
    """Give the gradient at a prediction; 0 where none reaches it."""
    leaf = prediction.clone().requires_grad_()
    value = call(leaf, batch)
    if not value.requires_grad:
        return torch.zeros_like(leaf)
    (slope,) = torch.autograd.grad(value, leaf, allow_unused=True)
    return torch.zeros_like(leaf) if slope is None else slope
