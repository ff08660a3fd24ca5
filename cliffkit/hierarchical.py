"""The hierarchical embedding loss: depth maps compared in the feature space of a frozen embedding generator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from cliffkit.interfaces import Embedding, Sample

VALUES_AT_ONCE = 2**17
"""Of features that a CPU compares together: half a megabyte."""


class HierarchicalEmbeddingLoss(nn.Module):
    """r * sum_k w_k * mean |G_k(prediction) - G_k(truth)|, right on depth with holes.

    Both maps enter the generator with 0 in every invalid pixel, and each feature counts by the share of valid pixels
    in its cell: what stands in invalid pixels changes neither the value nor its gradient, and on dense depth the mean
    is the plain one of Wang et al., ECCV 2020.

    r rises linearly with the step, counted from 0: r = min(1, step / warmup_steps), so 0 at step 0 and 1 from step
    `warmup_steps` on; always 1 where that is 0. A level of weight 0 is left out; a term of weight 0 costs nothing.

    The embedding is taken over and frozen for good: evaluation mode, no gradients for its parameters, batch
    normalisation folded into its convolutions. It moves with this module, and otherwise is no part of it: not of its
    parameters, not of its state, untouched by `train()`.

    Raises ValueError where the weights are not one finite number >= 0 per level, or warmup_steps is negative.
    """

    def __init__(
        self,
        embedding: Embedding,
        weights: Sequence[float],
        norm: Literal["l1", "l2"] = "l1",
        warmup_steps: int = 100,
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
        self.norm = norm
        self.warmup_steps = warmup_steps
        fold_batch_norm(embedding.eval())
        self._frozen = (embedding.requires_grad_(False),)  # in a tuple, where nn.Module does not look

    @property
    def embedding(self) -> Embedding:
        """The frozen generator."""
        return self._frozen[0]

    def ramp(self, step: int) -> float:
        """The factor r at a step, counted from 0."""
        return 1.0 if step >= self.warmup_steps else step / self.warmup_steps

    def forward(self, prediction: Tensor, sample: Sample, step: int) -> Tensor:
        """(B, 1, H, W) metres and a collated sample to a float32 scalar; 0 where no pixel is valid."""
        total = torch.zeros((), device=prediction.device)
        ramp = self.ramp(step)
        if ramp == 0 or not any(self.weights):
            return total
        with torch.no_grad():
            truth = self.embedding(sample.filled_depth())
        guess = self.embedding(torch.where(sample.valid, prediction, torch.zeros_like(prediction)))
        valid = sample.valid.float()
        for weight, a, b in zip(self.weights, guess, truth, strict=True):
            if weight:
                share = _pooled(valid, a)
                cells = share.sum() * a.shape[1]
                factor = torch.where(cells > 0, ramp * weight / cells, 0)
                total = total + _weighted_sum(a, b, share * factor, self.norm)
        return total

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """Take the embedding along wherever `to()` takes this module."""
        self.embedding._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _pooled(valid: Tensor, level: Tensor) -> Tensor:
    """The share of valid pixels (B, 1, h, w), in [0, 1], of each cell of a level (B, C, h, w)."""
    size = (level.shape[-2], level.shape[-1])
    return valid if valid.shape[-2:] == size else F.adaptive_avg_pool2d(valid, size)


def _weighted_sum(a: Tensor, b: Tensor, share: Tensor, norm: str) -> Tensor:
    """Sum of share * |a - b|, or of share * (a - b)^2, in float32: two levels (B, C, h, w), shares (B, 1, h, w)."""
    if a.device.type == "cpu" and a.requires_grad:
        total: Tensor = _BlockedSum.apply(a, b, share, norm)
        return total
    return _sum(a.float() - b.float(), share, norm)


def _sum(difference: Tensor, share: Tensor, norm: str) -> Tensor:
    size = difference.abs() if norm == "l1" else difference.square()
    return (size.sum(1, keepdim=True) * share).sum()  # channels first: the shares then meet one instead of all


class _BlockedSum(torch.autograd.Function):
    """The same with its gradient by `a` at once, in blocks that a processor's cache holds.

    Written out plainly, a dozen passes in float32 over full-size features go through memory: most of the loss's time.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, share: Tensor, norm: str) -> Tensor:
        total, slope = torch.zeros(()), torch.empty_like(a)
        rows = max(1, VALUES_AT_ONCE // (a.shape[1] * a.shape[3]))
        for i in range(len(a)):
            for top in range(0, a.shape[2], rows):
                block = (slice(i, i + 1), slice(None), slice(top, top + rows))
                difference = a[block].float() - b[block].float()
                total += _sum(difference, share[block], norm)
                change = difference.sign_() if norm == "l1" else difference.mul_(2)
                slope[block] = change.mul_(share[block])
        ctx.save_for_backward(slope)
        return total

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope if above[0] == 1 else slope * above[0], None, None, None  # 1 wherever losses are simply added


def fold_batch_norm(module: nn.Module) -> None:
    """Fold each batch normalisation that follows a convolution in an nn.Sequential into it, in place; for inference.

    Equal to rounding: the convolution's weights are scaled instead of its result.
    """
    for child in module.children():
        fold_batch_norm(child)
    if isinstance(module, nn.Sequential):
        for i, (conv, norm) in enumerate(itertools.pairwise(list(module))):
            if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.track_running_stats:
                assert norm.running_mean is not None
                assert norm.running_var is not None
                conv.weight, conv.bias = fuse_conv_bn_weights(
                    conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
                )
                module[i + 1] = nn.Identity().eval()
