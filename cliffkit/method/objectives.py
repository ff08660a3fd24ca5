"""What training minimises: the weighted losses of a network, or an embedding generator's own objective."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cliffkit.interfaces import Embedding, Loss, Sample
from cliffkit.method.hierarchical import HierarchicalEmbeddingLoss
from cliffkit.method.network import DepthNetwork
from cliffkit.training.device import Device


class DepthObjective(nn.Module):
    """L = sum of weighted losses + r * sum of w_k * |G_k(truth) - G_k(prediction)|, each term by its name."""

    def __init__(
        self,
        network: DepthNetwork,
        losses: Sequence[tuple[str, float, Loss]],
        hierarchical: HierarchicalEmbeddingLoss | None,
        device: Device,
    ) -> None:
        super().__init__()
        self.network = network
        self.losses = nn.ModuleList([loss for _, _, loss in losses])
        self.hierarchical = hierarchical
        self._named = [(name, weight) for name, weight, _ in losses]
        self._device = device

    def forward(self, sample: Sample, step: int) -> dict[str, Tensor]:
        """Weighted terms; those of weight 0 are absent."""
        with self._device.autocast():
            prediction = self.network(sample.image.contiguous(memory_format=torch.channels_last))
        terms = {
            name: weight * loss(prediction, sample)
            for (name, weight), loss in zip(self._named, self.losses, strict=True)
            if weight
        }
        if self.hierarchical is not None:
            with self._device.autocast():
                terms["embedding"] = self.hierarchical(prediction, sample, step)
        return terms


class EmbeddingObjective(nn.Module):
    """An embedding generator's own objective as the training loop wants it."""

    def __init__(self, embedding: Embedding, device: Device) -> None:
        super().__init__()
        self.embedding = embedding
        self._device = device

    def forward(self, sample: Sample, step: int) -> dict[str, Tensor]:
        """The one term."""
        with self._device.autocast():
            return {"objective": self.embedding.objective(sample).float()}
