"""HEG-S: the embedding generator that learns scene types from depth."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cliffkit.interfaces import Batch, Embedding
from cliffkit_embeddings.blocks import conv_bn_leaky


class HegS(Embedding):
    """A scene classifier on depth maps; the features of its two stages, at full and half resolution, are the embedding.

    Source: Wang et al., ECCV 2020, with the stages that their released network uses: 16 and 32 channels, 16,464
    parameters before the classifier. Depth enters in metres, not normalised.

    Raises ValueError for fewer than two scene types.
    """

    def __init__(self, scene_types: int, /) -> None:
        super().__init__()
        if scene_types < 2:
            raise ValueError(
                f"heg_s needs at least two scene types; this data names {scene_types}; "
                "use heg_r or a data set with scene types"
            )
        self.levels = 2
        self.full_size = nn.Sequential(conv_bn_leaky(1, 16), conv_bn_leaky(16, 16))
        self.half_size = nn.Sequential(conv_bn_leaky(16, 32, stride=2), conv_bn_leaky(32, 32))
        self.classifier = nn.Linear(32, scene_types)

    def forward(self, depth: Tensor) -> list[Tensor]:
        """(B, 1, H, W) metres to (B, 16, H, W) and (B, 32, H/2, W/2), sizes rounded up."""
        full = self.full_size(depth)
        return [full, self.half_size(full)]

    def objective(self, batch: Batch) -> Tensor:
        """Cross entropy of the scene type, over the images with a type and a valid pixel; 0 where there is none."""
        logits = self.classify(batch.dense_depth())
        scene = torch.where(batch.valid.any(dim=3).any(dim=2)[:, 0], batch.scene, -1)
        total = F.cross_entropy(logits, scene, ignore_index=-1, reduction="sum")
        return total / (scene >= 0).sum().clamp(min=1)

    def classify(self, depth: Tensor) -> Tensor:
        """(B, 1, H, W) metres to the logits of the scene types, (B, scene_types) float32."""
        logits: Tensor = self.classifier(self(depth)[-1].mean(dim=(2, 3)))
        return logits.float()
