"""Stored predictions in the views of protocols: what `score_images` is given in the place of a network's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from cliffkit.data.read import read_sample
from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset, Sample
from cliffkit.prediction.given.quantity import Quantity
from cliffkit.prediction.given.stored import Entry, Stored, read_stored
from cliffkit.prediction.given.suspicion import Suspicions
from cliffkit.prediction.scored import alike
from cliffkit.protocols import Protocol, View
from cliffkit.scoring.views import image_region
from cliffkit.workers import available_cores, in_order

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Reading:
    """How predictions are read."""

    quantity: Quantity
    key: str | None = None
    """Name of the array of a .npz; None: its only one."""


class Source:
    """The predictions of test images, read once, in order; then their hash and what is odd about them are known."""

    def __init__(self, dataset: Dataset, entries: Sequence[tuple[int, Entry]], reading: Reading) -> None:
        self._dataset, self._entries, self._reading = dataset, entries, reading
        self._hash = blake2b(digest_size=16)
        self.suspicions = Suspicions(reading.quantity)

    @property
    def digest(self) -> str:
        """Hash of the predictions that were read, with the images that they are of."""
        return self._hash.hexdigest()

    def predicted(self, protocols: Sequence[Protocol]) -> Iterator[tuple[Sample, list[Floats]]]:
        """Give each image with its prediction for every view of the protocols, in metres.

        Raises UserError for a prediction that cannot be read, and for protocols that average with the mirrored image.
        """
        for protocol in protocols:
            if protocol.flip:
                raise UserError(
                    f"protocol '{protocol.name}' averages with the prediction of the mirrored image, which a folder of "
                    "predictions has not; score without +flip, and say beside the scores whether predictions are such "
                    "averages"
                )
        self.suspicions.scale_counts = any(protocol.align == "none" for protocol in protocols)
        views = [view for view, _ in alike(protocols)]
        read = partial(_read, self._dataset, self._reading, views)
        for (index, _), (sample, stored, depth_m, maps) in zip(
            self._entries, in_order(read, self._entries, available_cores()), strict=True
        ):
            self._hash.update(self._dataset.name(index).encode() + b"\0" + stored.digest)
            self.suspicions.look(stored, depth_m, sample)
            yield sample, maps


def _read(
    dataset: Dataset, reading: Reading, views: Sequence[View], item: tuple[int, Entry]
) -> tuple[Sample, Stored, Floats, list[Floats]]:
    index, entry = item
    sample, stored = read_sample(dataset, index), read_stored(entry, reading.key)
    if reading.quantity.scale is None and not stored.dtype.startswith("float"):
        raise UserError(
            f"{entry}: holds whole numbers ({stored.dtype}); give their scale, how many of them are one metre (or 1/m, "
            "or pixel): --scale 1000 for millimetres, --scale 256 for KITTI's PNGs, --scale 1 where they are that "
            "themselves"
        )
    depth_m = at_image_size(stored, sample, reading.quantity)
    return sample, stored, depth_m, [in_view(depth_m, view) for view in views]


def at_image_size(stored: Stored, sample: Sample, quantity: Quantity) -> Floats:
    """Give a prediction as depth (H, W) in metres at its image's size.

    The stored numbers are resized, then turned into metres: for inverse depth and disparity that is what their authors
    do, as Godard et al. (Digging into Self-Supervised Monocular Depth Estimation, ICCV 2019).
    """
    height, width = sample.image.shape[-2:]
    camera = None if sample.intrinsics is None else tuple(sample.intrinsics.tolist())
    assert camera is None or len(camera) == 4
    return quantity.metres(_resized(stored.values, (height, width)), camera)


def in_view(depth_m: Floats, view: View) -> Floats:
    """Cut a view's region out of depth (H, W) of a whole image, and bring it to the view's size."""
    top, left, height, width = image_region(depth_m.shape[0], depth_m.shape[1], view)
    return _resized(depth_m[top : top + height, left : left + width], view.size or (height, width))


def _resized(values: Floats, size: tuple[int, int]) -> Floats:
    """Resize (H, W) bilinearly, as a network's depth is resized; a map of that size stays as it is."""
    if values.shape == size:
        return values
    tensor = torch.from_numpy(np.ascontiguousarray(values))[None, None]
    resized: Floats = F.interpolate(tensor, size, mode="bilinear", align_corners=False)[0, 0].numpy()
    return resized
