"""Batch normalisation over the batch of all processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

from cliffkit.errors import UserError


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes, given to each process. Gradients are summed likewise."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        total = slopes[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the batch of all processes, for devices that torch's SyncBatchNorm refuses."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same; equal to one process with the whole batch, to rounding."""
        if not self.training:
            return super().forward(x)
        wide = x.float()
        ones = torch.ones_like(wide[:, :1])
        sums = torch.cat([wide.sum((0, 2, 3)), (wide * wide).sum((0, 2, 3)), ones.sum()[None]])
        sums = _SumOverProcesses.apply(sums)
        count = sums[-1]
        mean, square = (sums[:-1] / count).chunk(2)
        variance = (square - mean * mean).clamp_min(0)
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            assert self.momentum is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normal: Tensor = (wide * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]).to(x.dtype)
        return normal


def synchronise_batch_norm(module: nn.Module, device: torch.device) -> nn.Module:
    """Let every batch normalisation see the batch of all processes."""
    if device.type == "cuda":
        # timm's, which knows layers that hold an activation too. Loading timm takes longer than loading torch.
        from timm.layers import convert_sync_batchnorm  # type: ignore[attr-defined]

        converted: nn.Module = convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return converted
    for name, layer in module.named_children():
        if type(layer) is nn.BatchNorm2d:
            replacement = GlobalBatchNorm2d(layer.num_features, layer.eps, layer.momentum)
            replacement.load_state_dict(layer.state_dict())
            module.add_module(name, replacement)
        elif isinstance(layer, nn.BatchNorm2d):
            raise UserError(
                f"{type(layer).__name__} cannot be trained by several processes on a {device.type}; use one process"
            )
        else:
            synchronise_batch_norm(layer, device)
    return module
