"""What training minimises: the weighted losses of a network, or an embedding generator's own objective."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from cliffkit.interfaces import Batch, Embedding
from cliffkit.method.assemble import Modules

Autocast = Callable[[], AbstractContextManager[Any]]
"""Gives the context of mixed precision."""


class DepthObjective(nn.Module):
    """L = sum of weighted losses + r * sum of w_k * |G_k(truth) - G_k(prediction)|, each term by its name."""

    def __init__(self, modules: Modules, autocast: Autocast) -> None:
        super().__init__()
        self.network = modules.network
        self.losses = nn.ModuleList([loss for _, _, loss in modules.losses])
        self.hierarchical = modules.hierarchical
        self._terms = [(name, weight, tuple(loss.needs)) for name, weight, loss in modules.losses]
        self._autocast = autocast

    def forward(self, batch: Batch, step: int | Tensor) -> dict[str, Tensor]:
        """Weighted terms; those of weight 0 are absent."""
        with self._autocast():
            predicted = self.network.predict(batch.image.contiguous(memory_format=torch.channels_last))

        terms = {}
        for (name, weight, needs), loss in zip(self._terms, self.losses, strict=True):
            if weight:
                extras = {extra: predicted.extras[extra] for extra in needs}
                terms[name] = weight * loss(predicted.depth, batch, **extras)

        if self.hierarchical is not None:
            with self._autocast():
                terms["embedding"] = self.hierarchical(predicted.depth, batch, step)
        return terms


class EmbeddingObjective(nn.Module):
    """An embedding generator's own objective as the training loop wants it."""

    def __init__(self, embedding: Embedding, autocast: Autocast) -> None:
        super().__init__()
        self.embedding = embedding
        self._autocast = autocast

    def forward(self, batch: Batch, step: int | Tensor) -> dict[str, Tensor]:
        """Compute the one term."""
        with self._autocast():
            return {"objective": self.embedding.objective(batch).float()}
