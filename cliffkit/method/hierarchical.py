"""The hierarchical embedding loss: depth maps compared in the feature space of a frozen embedding generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from cliffkit.interfaces import Batch, Embedding, features_of
from cliffkit.layers import fill_holes
from cliffkit.method.kernels import fold_batch_norm, pooled, weighted_sum


class HierarchicalEmbeddingLoss(nn.Module):
    """r * sum_k w_k / D_k * mean |G_k(prediction) - G_k(truth)|, right on depth with holes.

    Both maps enter the generator with their holes filled by one rule, `fill_holes`, and each feature counts by the
    share of valid pixels in its cell. So values in invalid pixels change neither the loss nor its gradient. No gradient
    flows through the fill of the prediction's holes: so the gradient is nearer to that on dense depth. On dense depth
    the mean is the plain mean of Wang et al., ECCV 2020.

    r rises linearly with the step, counted from 0: r = min(1, step / warmup_steps). So r is 0 at step 0, and 1 from
    step `warmup_steps` on. Where `warmup_steps` is 0, r is always 1. A level of weight 0 is left out; a term of weight
    0 costs nothing.

    The divisors D_k are 1 where none are given, as in the paper. Those of `scale: unit` make a weight of 1 mean the
    same for every generator (`differences.divisors`).

    The embedding is taken over and frozen for good: evaluation mode, no gradients for its parameters,batch
    normalisation folded into its convolutions. `to()` of this module moves the embedding too. Otherwise the embedding
    is no part of this module: not of its parameters, not of its state, untouched by `train()`.

    Raises ValueError where the weights are not one finite number >= 0 per level, or warmup_steps is negative.
    """

    def __init__(
        self,
        embedding: Embedding,
        weights: Sequence[float],
        norm: Literal["l1", "l2"] = "l1",
        warmup_steps: int = 100,
        divisors: Sequence[float] = (),
    ) -> None:
        super().__init__()
        if len(weights) != embedding.levels:
            raise ValueError(
                f"{type(embedding).__name__} gives {embedding.levels} levels of features and {len(weights)} weights "
                f"are given, {list(weights)}; give one weight per level, shallow to deep"
            )
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
            raise ValueError(f"weights of the embedding loss are {list(weights)}; each must be a finite number >= 0")
        if norm not in ("l1", "l2"):
            raise ValueError(f"norm of the embedding loss is '{norm}'; it must be 'l1' or 'l2'")
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps is {warmup_steps}; it must be >= 0")
        self.weights = tuple(weights)
        self.divisors = tuple(divisors)
        self.norm = norm
        self.warmup_steps = warmup_steps
        fold_batch_norm(embedding.eval())
        self._frozen = (embedding.requires_grad_(False),)  # in a tuple, where nn.Module does not look

    @property
    def embedding(self) -> Embedding:
        """The frozen generator."""
        return self._frozen[0]

    def ramp(self, step: int | Tensor) -> float | Tensor:
        """Give the factor r at a step, counted from 0; a tensor for a step that is one."""
        if isinstance(step, Tensor):
            return (step / self.warmup_steps).clamp(max=1) if self.warmup_steps else 1.0
        return 1.0 if step >= self.warmup_steps else step / self.warmup_steps

    def forward(self, prediction: Tensor, batch: Batch, step: int | Tensor) -> Tensor:
        """Compare predicted depth, (B, 1, H, W) metres, with a batch: a float32 scalar, 0 where no pixel is valid."""
        total = torch.zeros((), device=prediction.device)
        ramp = self.ramp(step)
        if not any(self.weights) or (isinstance(ramp, float) and ramp == 0):
            return total
        with torch.no_grad():
            truth = features_of(self.embedding, batch.dense_depth(), batch.intrinsics)
            filled = fill_holes(prediction, batch.valid)
        guess = features_of(self.embedding, torch.where(batch.valid, prediction, filled), batch.intrinsics)
        valid = batch.valid.float()
        divisors = self.divisors or [1.0] * len(self.weights)
        for weight, divisor, a, b in zip(self.weights, divisors, guess, truth, strict=True):
            if weight:
                share = pooled(valid, a)
                cells = share.sum() * a.shape[1]
                factor = torch.where(cells > 0, ramp * weight / divisor / cells, 0)
                total = total + weighted_sum(a, b, share * factor, self.norm)
        return total

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """Take the embedding along wherever `to()` takes this module."""
        self.embedding._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
