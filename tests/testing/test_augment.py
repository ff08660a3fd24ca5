"""The check of augmentation fails for a step that breaks its contract, and says how."""

import pytest
import torch

from cliffkit.interfaces import Augment
from cliffkit.testing import check_augment


class Good(Augment):
    """Grey images, as many as drawn."""

    draws = 1

    def __call__(self, batch, draws):
        grey = (draws[0] < 0.5).to(batch.image.device)[:, None, None, None]
        return batch._replace(image=torch.where(grey, batch.image.mean(1, keepdim=True), batch.image))


class NoNumber(Good):
    draws = None


class Bare:
    draws = 0

    def __call__(self, batch, draws):
        return batch


class InPlace(Good):
    def __call__(self, batch, draws):
        batch.image.mul_(0.5)
        return batch


class Tuple(Good):
    def __call__(self, batch, draws):
        return tuple(batch)


class NoExtras(Good):
    def __call__(self, batch, draws):
        return batch._replace(extras={})


class Smaller(Good):
    def __call__(self, batch, draws):
        return batch._replace(image=batch.image[..., 1:])


class TooBright(Good):
    def __call__(self, batch, draws):
        return batch._replace(image=batch.image * 2)


class FillsHoles(Good):
    def __call__(self, batch, draws):
        return batch._replace(valid=torch.ones_like(batch.valid))


class DepthAlone(Good):
    """Mirrors depth and leaves its holes behind."""

    def __call__(self, batch, draws):
        return batch._replace(depth=batch.depth.flip(-1))


class Random(Good):
    def __call__(self, batch, draws):
        return batch._replace(image=torch.rand_like(batch.image))


class Remembers(Good):
    last = 0.0

    def __call__(self, batch, draws):
        result = batch._replace(image=batch.image * (1 - 0.5 * self.last))
        self.last = float(draws.mean())
        return result


class MixesImages(Good):
    def __call__(self, batch, draws):
        return batch._replace(image=0.5 * (batch.image + batch.image.mean(0, keepdim=True)))


class LooksIntoHoles(Good):
    def __call__(self, batch, draws):
        deepest = batch.depth.nan_to_num(0).amax(dim=(2, 3), keepdim=True)
        return batch._replace(image=batch.image / (1 + deepest))


class Zooms(Good):
    """The middle of the image at twice its size."""

    draws = 0

    def __call__(self, batch, draws):
        height, width = batch.image.shape[-2:]
        rows = (torch.arange(height, device=batch.image.device) + height // 2) // 2
        columns = (torch.arange(width, device=batch.image.device) + width // 2) // 2

        def middle(tensor):
            return tensor[:, :, rows[:, None], columns] if tensor.ndim == 4 else tensor

        return batch.map(middle)


class ZoomsMetric(Zooms):
    def __call__(self, batch, draws):
        height, width = batch.image.shape[-2:]
        corner = torch.tensor([0, 0, width // 2 / 2, height // 2 / 2], device=batch.image.device)
        return super().__call__(batch, draws)._replace(intrinsics=2 * (batch.intrinsics - corner))


class ShiftsOnly(Zooms):
    """Moves the principal point, and forgets the focal lengths."""

    def __call__(self, batch, draws):
        fx, fy, cx, cy = batch.intrinsics.unbind(1)
        return super().__call__(batch, draws)._replace(intrinsics=torch.stack([fx, fy, 2 * cx, 2 * cy], 1))


class OnTheProcessor(Good):
    def __call__(self, batch, draws):
        return batch._replace(image=batch.image * torch.tensor([1.0, 0.9, 0.8])[:, None, None])


@pytest.mark.parametrize("step", [Good, ZoomsMetric])
def test_a_good_step_passes(step):
    check_augment(step)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Bare, "Bare: is no cliffkit.interfaces.Augment"),
        (NoNumber, "draws is None, expected a number of draws"),
        (InPlace, "changes its input in place"),
        (Tuple, "gives a tuple, expected a Batch"),
        (NoExtras, "carry every extra on"),
        (Smaller, r"image is \(4, 3, 48, 63\) torch.float32, expected \(4, 3, 48, 64\)"),
        (TooBright, "the image lies within .*, expected 0 and 1"),
        (FillsHoles, "a valid depth is not a positive number of metres"),
        (DepthAlone, "a valid depth is not a positive number of metres"),
        (Random, "equal batches and draws give two results"),
        (Remembers, "equal batches and draws give two results"),
        (MixesImages, "image of an image depends on the rest of its batch"),
        (LooksIntoHoles, "what stands in invalid pixels changes the result"),
        (Zooms, "points of a plane are .* let the focal lengths grow or depth shrink"),
        (ShiftsOnly, "points of a plane are"),
        (OnTheProcessor, "with everything on cuda"),
    ],
)
def test_a_broken_step_fails(step, message):
    with pytest.raises(AssertionError, match=message):
        check_augment(step)
