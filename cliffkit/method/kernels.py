"""The embedding difference and the frozen generator, fast; each equal to its plain form to rounding."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

VALUES_AT_ONCE = 2**17
"""Feature values that a CPU compares at a time: half a megabyte."""


def pooled(valid: Tensor, level: Tensor) -> Tensor:
    """Give the share of valid pixels (B, 1, h, w), in [0, 1], of each cell of a level (B, C, h, w)."""
    size = (level.shape[-2], level.shape[-1])
    if valid.shape[-2:] == size:
        return valid
    if valid.device.type == "cpu" and bool(valid.all()):  # on a GPU the question would wait for the device
        return valid.new_ones(*valid.shape[:2], *size)
    return F.adaptive_avg_pool2d(valid, size)


def weighted_sum(a: Tensor, b: Tensor, share: Tensor, norm: str) -> Tensor:
    """Sum share * |a - b|, or share * (a - b)^2, in float32: two levels (B, C, h, w), shares (B, 1, h, w)."""
    if a.device.type == "cpu" and a.requires_grad:
        total: Tensor = _BlockedSum.apply(a, b, share, norm)
        return total
    return _sum(a.float() - b.float(), share, norm)


def _sum(difference: Tensor, share: Tensor, norm: str) -> Tensor:
    size = difference.abs() if norm == "l1" else difference.square()
    return (size.sum(1, keepdim=True) * share).sum()  # channels first: the shares then multiply one map only


class _BlockedSum(torch.autograd.Function):
    """The weighted sum and its gradient by `a` in one pass, in blocks that fit a processor's cache.

    Without blocks, a dozen float32 passes over full-size features go through memory: most of the loss's time.
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
