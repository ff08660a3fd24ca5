"""How near the hierarchical loss's gradient on depth with holes is to its gradient on dense depth: a cosine.

Rooms, whose depth is dense, are given holes of three kinds. The gradient by the prediction is compared in the valid
pixels alone. Candidates for what stands in the holes of both maps are compared with it: zeros, the nearest valid pixel,
the means of cells (`layers.fill_holes`) with and without a gradient through what is filled, the truth's fill in both
maps, and convolutions normalised by their valid inputs. The generator is trained on dense depth, or on maps with the
same kind of holes and the same fill.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from harness import Row, progress, quartiles
from parts import recipe
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from cliffkit.data.pack import Pack, write_pack
from cliffkit.data.splits import open_split
from cliffkit.interfaces import Batch, Embedding
from cliffkit.layers import fill_holes
from cliffkit.method.assemble import build_embedding

STEPS = {"heg_s": 600, "heg_r": 150}
WEIGHTS = (10, 15)
BATCH, IMAGES = 16, 64
Mask = Callable[[torch.Size, torch.Generator], Tensor]
Fill = Callable[[Tensor, Tensor], Tensor]


def blobs(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """All but the highest fifth of smooth noise, some 8 pixels wide."""
    noise = torch.randn(shape[0], 1, shape[2] // 8 + 1, shape[3] // 8 + 1, generator=generator)
    noise = F.interpolate(noise, size=shape[-2:], mode="bicubic", align_corners=False)
    return noise >= noise.flatten(1).quantile(0.2, dim=1)[:, None, None, None]


MASKS: dict[str, Mask] = {
    "20 % in blobs": blobs,
    "20 % of single pixels": lambda shape, generator: torch.rand(shape, generator=generator) >= 0.2,
    "80 % of single pixels": lambda shape, generator: torch.rand(shape, generator=generator) >= 0.8,
}


def zeros(values: Tensor, valid: Tensor) -> Tensor:
    """0 in every hole."""
    return torch.where(valid, values, torch.zeros_like(values))


def nearest(values: Tensor, valid: Tensor) -> Tensor:
    """The nearest valid pixel in every hole."""
    filled = []
    for value, known in zip(values[:, 0], valid[:, 0], strict=True):
        rows, columns = distance_transform_edt(~known.numpy(), return_distances=False, return_indices=True)
        filled.append(value[torch.from_numpy(rows).long(), torch.from_numpy(columns).long()])
    return torch.stack(filled)[:, None]


class Zeros(Batch):
    """A batch whose holes the generator sees as zeros."""

    def dense_depth(self) -> Tensor:
        """0 in every hole."""
        return self.filled_depth()


def plain(embedding: Embedding, fill: Fill, through: bool, given: bool = False) -> Features:
    """Features of both maps. `given`: the holes of the prediction have what the truth's have."""

    def features(prediction: Tensor, truth: Tensor, valid: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        filled_truth = fill(truth, valid)
        filled = filled_truth if given else fill(prediction, valid)
        guess = torch.where(valid, prediction, filled if through else filled.detach())
        return embedding(guess), embedding(filled_truth)

    return features


def normalised(embedding: Embedding) -> Features:
    """Features of both maps by convolutions that leave out invalid inputs and scale up for them."""

    def run(module: nn.Module, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        for child in module.children():
            if isinstance(child, nn.Sequential):
                x, valid = run(child, x, valid)
            elif isinstance(child, nn.Conv2d):
                ones = torch.ones(1, 1, *child.kernel_size)
                count, most = (F.conv2d(m, ones, None, child.stride, 1) for m in (valid, torch.ones_like(valid)))
                x, valid = child(x * valid) * most / count.clamp_min(1), (count > 0).float()
            else:
                x, valid = child(x.clone()), child(valid) if isinstance(child, nn.MaxPool2d) else valid
        return x, valid

    def both(depth: Tensor, valid: Tensor) -> list[Tensor]:
        full, known = run(embedding.get_submodule("full_size"), zeros(depth, valid), valid.float())
        return [full, run(embedding.get_submodule("half_size"), full, known)[0]]

    return lambda prediction, truth, valid: (both(prediction, valid), both(truth, valid))


Features = Callable[[Tensor, Tensor, Tensor], tuple[list[Tensor], list[Tensor]]]


def slope(features: Features, prediction: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """The written-out loss's gradient by the prediction."""
    prediction = prediction.clone().requires_grad_()
    total = torch.zeros(())
    for weight, a, b in zip(WEIGHTS, *features(prediction, truth, valid), strict=True):
        share = F.adaptive_avg_pool2d(valid.float(), a.shape[-2:])
        total = total + weight * (share * (a - b).abs()).sum() / (share.sum() * a.shape[1])
    (gradient,) = torch.autograd.grad(total, prediction)
    return gradient


def trained(kind: str, mask: Mask | None, filled: bool, pack: Pack) -> Embedding:
    """A generator of the recipe, trained on maps with such holes, filled or 0; on dense ones where there is no mask."""
    part = recipe("cliff_hegS", f"embedding.use={kind}").embedding
    assert part is not None
    embedding = build_embedding(part, len(pack.facts.scene_types), 0).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(embedding.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS[kind])
    numbers, generator = np.random.default_rng(0), torch.Generator().manual_seed(1)
    for _ in range(STEPS[kind]):
        batch = Batch.of(pack.batch(numbers.integers(0, len(pack), BATCH)))
        if mask is not None:
            batch = batch._replace(valid=mask(batch.valid.shape, generator))
        with torch.autocast("cpu", torch.bfloat16):
            value = embedding.objective(batch if filled else Zeros(*batch))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return embedding.eval().requires_grad_(False)


def predicted(depth: Tensor) -> Tensor:
    """What a network might predict: depth blurred over 7 pixels, and off by smooth factors of some 15 %."""
    noise = torch.randn(len(depth), 1, 5, 7, generator=torch.Generator().manual_seed(2))
    noise = F.interpolate(noise, size=depth.shape[-2:], mode="bicubic", align_corners=False)
    return F.avg_pool2d(F.pad(depth, (3, 3, 3, 3), mode="replicate"), 7, 1) * torch.exp(0.15 * noise)


class Compared(NamedTuple):
    """What gradients are compared on."""

    prediction: Tensor
    truth: Tensor
    valid: Tensor

    def cosines(self, features: Features, embedding: Embedding) -> Tensor:
        """The cosine of all valid pixels together, then of each image's, with the gradient on dense depth."""
        dense = plain(embedding, zeros, through=True)
        wanted = slope(dense, self.prediction, self.truth, torch.ones_like(self.valid))
        with_holes = slope(features, *self)
        a, b = (gradient * self.valid for gradient in (wanted, with_holes))
        whole = F.cosine_similarity(a.flatten(), b.flatten(), dim=0)
        return torch.cat([whole[None], F.cosine_similarity(a.flatten(1), b.flatten(1))])


def rows() -> list[Row]:
    """One row per generator, kind of holes, and what the generator was trained on."""
    torch.set_num_threads(2)
    of = recipe("cliff_hegS", "data.train=1000", f"data.val={IMAGES}")
    with tempfile.TemporaryDirectory() as folder:
        packs = {}
        for split in ("train", "val"):
            write_pack(open_split(of, split, {}), Path(folder) / split, (64, 96), 1.0, lambda images: None)
            packs[split] = Pack(Path(folder) / split)
        return [row for kind in STEPS for row in _rows(kind, packs["train"], packs["val"])]


def _rows(kind: str, train: Pack, val: Pack) -> Iterator[Row]:
    truth = Batch.of(val.batch(np.arange(IMAGES))).depth
    prediction, generator = predicted(truth), torch.Generator().manual_seed(3)
    dense = trained(kind, None, True, train)
    for name, mask in MASKS.items():
        compared = Compared(prediction, truth, mask(truth.shape, generator))
        with_zeros = trained(kind, mask, False, train)
        for where, embedding, zeroed in (
            ("maps with such holes", trained(kind, mask, True, train), with_zeros),
            ("dense depth", dense, dense),
        ):
            whole, *images = compared.cosines(plain(embedding, fill_holes, through=False), embedding).tolist()
            others = {
                "zeros": (plain(zeroed, zeros, through=True), zeroed),
                "the same, gradient through the fill": (plain(embedding, fill_holes, through=True), embedding),
                "nearest": (plain(embedding, nearest, through=False), embedding),
                "nearest, gradient through": (plain(embedding, nearest, through=True), embedding),
                "the truth's fill": (plain(embedding, fill_holes, through=False, given=True), embedding),
                "normalised convolutions": (normalised(embedding), embedding),
            }
            figures = [f"{what} {compared.cosines(*pair)[0]:.2f}" for what, pair in others.items()]
            title = f"gradient at valid pixels, {kind}, holes of {name}, generator trained on {where}: cosine"
            progress(f"{title} {whole:.3f}; {'; '.join(figures)}")
            yield Row(title, "on dense depth", whole, quartiles(images), "", "; ".join(figures))
