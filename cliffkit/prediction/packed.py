"""A network whose convolutions have their weights laid out for oneDNN once, not at every call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

import torch
from torch import Size, Tensor, nn


@contextmanager
def packed(network: nn.Module) -> Iterator[None]:
    """Keep a copy of the weights of a network's convolutions as oneDNN computes with them, within a `with`.

    torch brings weights into that layout at every call: a fifth of the time of ResNet-18 on one image. The kernels are
    the same, so depth stays the same. Weights must not change within. Nothing is done on other devices than
    a CPU, in other types than float32, and where gradients are wanted.
    """
    chosen = [module for module in network.modules() if _is_packable(module)] if _has_kernels() else []
    for convolution in chosen:
        vars(convolution)["forward"] = _Packed(convolution)
    try:
        yield
    finally:
        for convolution in chosen:
            vars(convolution).pop("forward", None)


def _has_kernels() -> bool:
    """Tell whether torch has oneDNN, with the operations that its compiler uses too."""
    names = ("_reorder_convolution_weight", "_convolution_pointwise")
    known = hasattr(torch._C, "_select_conv_backend") and all(hasattr(torch.ops.mkldnn, name) for name in names)
    return known and bool(torch._C._has_mkldnn)


def _is_packable(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Tell whether a module is a plain convolution in float32 on a CPU; another class may compute something else."""
    return (
        type(module) is nn.Conv2d
        and "forward" not in vars(module)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and module.weight.dtype == torch.float32
        and module.weight.device.type == "cpu"
    )


class _Packed:
    """A convolution's forward pass with packed weights, where torch would give it to oneDNN.

    The best layout depends on the image's size, and a layout for another size is up to three times as slow. So weights
    are packed for the first size that comes, and other sizes take the usual way.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        self._convolution = convolution
        self._geometry = (convolution.padding, convolution.stride, convolution.dilation, convolution.groups)
        self._first: tuple[Size, Tensor | None] | None = None

    def __call__(self, image: Tensor) -> Tensor:
        convolution = self._convolution
        if image.dtype != torch.float32 or image.ndim != 4 or torch.is_grad_enabled():
            return nn.Conv2d.forward(convolution, image)
        if self._first is None:  # threads may both pack: they come to the same
            self._first = image.shape, self._pack(image)
        size, weight = self._first
        if weight is None or image.shape != size:
            return nn.Conv2d.forward(convolution, image)
        features: Tensor = torch.ops.mkldnn._convolution_pointwise(
            image, weight, convolution.bias, *self._geometry, "none", [], ""
        )
        return features

    def _pack(self, image: Tensor) -> Tensor | None:
        """Lay out the weights for images of this size; None where torch has a kernel of its own for them."""
        weight = self._convolution.weight.detach()
        padding, stride, dilation, groups = self._geometry
        backend = torch._C._select_conv_backend(
            image, weight, self._convolution.bias, stride, padding, dilation, False, (0, 0), groups
        )
        if backend.name != "Mkldnn":
            return None
        laid_out: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, *self._geometry, list(image.shape))
        return laid_out
