"""Each conformance check fails for a component that breaks its contract, and says how."""

import hashlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cliffkit.interfaces import Backbone, Dataset, Embedding, Fusion, Loss, Pyramid, Sample
from cliffkit.testing import (
    check_backbone,
    check_dataset,
    check_embedding,
    check_fusion,
    check_loss,
    check_pyramid,
)


def fails(check, component, message):
    with pytest.raises(AssertionError, match=message):
        check(component)


class GoodBackbone(Backbone):
    def __init__(self):
        super().__init__()
        self.channels, self.strides = (4, 5), (2, 4)
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 5, 3, stride=2, padding=1)

    def forward(self, image):
        first = self.first(image)
        return [first, self.second(first)]


class WrongStrides(GoodBackbone):
    def __init__(self):
        super().__init__()
        self.strides = (2, 8)


class CoarseFirst(GoodBackbone):
    def __init__(self):
        super().__init__()
        self.strides = (4, 2)


class Unpadded(GoodBackbone):
    multiple = 1

    def forward(self, image):
        return [level[..., : image.shape[-2] // s, : image.shape[-1] // s] for level, s in self.levels(image)]

    def levels(self, image):
        return zip(super().forward(image), self.strides, strict=True)


class Demanding(GoodBackbone):
    multiple = 1

    def forward(self, image):
        if image.shape[-1] % 2:
            raise ValueError("odd")
        return super().forward(image)


class NoMultiple(GoodBackbone):
    multiple = 0


class OneLevelMissing(GoodBackbone):
    def forward(self, image):
        return super().forward(image)[:1]


class UnusedParameter(GoodBackbone):
    def __init__(self):
        super().__init__()
        self.classifier = nn.Linear(5, 10)


class BatchNormOff(GoodBackbone):
    """Normalises by the batch even in evaluation mode."""

    def forward(self, image):
        return super().forward(image / image.std())


class Random(GoodBackbone):
    def forward(self, image):
        return [level + torch.rand_like(level) for level in super().forward(image)]


class HiddenState(GoodBackbone):
    def __init__(self):
        super().__init__()
        self.scale = 1 + torch.rand(()).item()

    def forward(self, image):
        return super().forward(image * self.scale)


class OnTheProcessor(GoodBackbone):
    def __init__(self):
        super().__init__()
        self.mean = torch.full((3, 1, 1), 0.5)

    def forward(self, image):
        return super().forward(image - self.mean)


class MadeOnTheProcessor(GoodBackbone):
    def forward(self, image):
        return [torch.zeros(level.shape) if level.is_cuda else level for level in super().forward(image)]


class InPlace(GoodBackbone):
    def forward(self, image):
        with torch.no_grad():
            image.mul_(2)
        return super().forward(image)


class NotFinite(GoodBackbone):
    def forward(self, image):
        return [level.log() for level in super().forward(image)]


class Halved(GoodBackbone):
    def forward(self, image):
        return [level.bfloat16() for level in super().forward(image)]


class Cut(GoodBackbone):
    def forward(self, image):
        return super().forward(image.detach())


def test_a_good_backbone_passes():
    check_backbone(GoodBackbone)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (nn.Identity, "Identity: is no cliffkit.interfaces.Backbone"),
        (
            WrongStrides,
            r"WrongStrides on 16x24, as `multiple = 8` allows: .*, expected \[\(2, 4, 8, 12\), \(2, 5, 2, 3\)\]",
        ),
        (CoarseFirst, "must run from fine to coarse"),
        (
            Unpadded,
            r"Unpadded on 9x11, as `multiple = 1` allows: .*, expected \[\(2, 4, 5, 6\), \(2, 5, 3, 3\)\]",
        ),
        (Demanding, r"Demanding on 9x11: ValueError: odd; mend its forward, or raise `multiple`, which is 1"),
        (NoMultiple, r"NoMultiple: multiple is 0; it must be a whole number of pixels"),
        (OneLevelMissing, r"outputs have shapes \[\(2, 4, 4, 6\)\], expected"),
        (UnusedParameter, "no gradient reaches classifier.weight, classifier.bias"),
        (BatchNormOff, "depends on the rest of its batch"),
        (Random, "two evaluations of the same input differ"),
        (HiddenState, "keep state in parameters or buffers"),
        (InPlace, "changes its input in place"),
        (NotFinite, "output 0 is not finite"),
        (Halved, "output 0 is torch.bfloat16"),
        (Cut, "output 0 depends on no input"),
        (OnTheProcessor, "with everything on cuda: .*cpu"),
        (MadeOnTheProcessor, "with everything on cuda, output 0 is torch.float32 on cpu"),
    ],
)
def test_a_broken_backbone_fails(component, message):
    fails(check_backbone, component, message)


class GoodPyramid(Pyramid):
    def __init__(self, in_channels, strides):
        super().__init__()
        self.channels = 4
        self.convs = nn.ModuleList(nn.Conv2d(c, 4, 1) for c in in_channels)

    def forward(self, levels):
        return [conv(level) for conv, level in zip(self.convs, levels, strict=True)]


class WrongWidth(GoodPyramid):
    def __init__(self, in_channels, strides):
        super().__init__(in_channels, strides)
        self.channels = 5


class ByAFactorOfTwo(GoodPyramid):
    """Right at sizes that halve evenly only."""

    def forward(self, levels):
        out = super().forward(levels)
        return [F.interpolate(out[k + 1], scale_factor=2) + out[k] for k in range(len(out) - 1)] + out[-1:]


class CoarsestForgotten(GoodPyramid):
    def forward(self, levels):
        out = super().forward(levels)
        return [*out[:-1], torch.zeros_like(out[-1]) + out[0].mean()]


class CoarseScaleFirst(GoodPyramid):
    def __init__(self, in_channels, strides):
        super().__init__(in_channels, strides)
        self.scales = [1, 2, 4, 8][: len(in_channels)]


class Enlarging(GoodPyramid):
    """Of the last level alone, twice as large everywhere; right for levels of one stride only."""

    def __init__(self, in_channels, strides):
        super().__init__(in_channels[-1:], strides)
        self.scales = [2] * len(in_channels)

    def forward(self, levels):
        return [F.interpolate(self.convs[0](levels[-1]), scale_factor=2)] * len(levels)


def test_a_good_pyramid_passes():
    check_pyramid(GoodPyramid)
    check_pyramid(Enlarging, one_stride=True, last_alone=True)
    with pytest.raises(AssertionError, match="no gradient reaches input 0"):
        check_pyramid(Enlarging, one_stride=True)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (WrongWidth, "outputs have shapes .*, expected .*5, 12, 16"),
        (CoarseScaleFirst, "scales are .* they must be above 0, one for each of 2 levels, from fine to coarse"),
        (CoarsestForgotten, "no gradient reaches input 1"),
    ],
)
def test_a_broken_pyramid_fails(component, message):
    fails(check_pyramid, component, message)


def test_a_pyramid_that_doubles_fails_at_odd_sizes():
    with pytest.raises(RuntimeError, match="must match the size"):
        check_pyramid(ByAFactorOfTwo)


class GoodFusion(Fusion):
    def __init__(self, channels):
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, low, high):
        return low + self.mix(F.interpolate(high, size=low.shape[-2:], mode="bilinear"))


class LowForgotten(GoodFusion):
    def forward(self, low, high):
        return super().forward(torch.zeros_like(low), high)


class AtTheCoarseSize(GoodFusion):
    def forward(self, low, high):
        return F.adaptive_avg_pool2d(low, high.shape[-2:]) + self.mix(high)


class ByView(GoodFusion):
    """Right in contiguous memory only, which training does not have."""

    def forward(self, low, high):
        return super().forward(low, high) * low.view(len(low), -1).mean(1)[:, None, None, None].sigmoid()


def test_a_good_fusion_passes():
    check_fusion(GoodFusion)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (LowForgotten, "no gradient reaches input 0"),
        (ByView, "cannot take bfloat16 features in channels_last memory"),
        (AtTheCoarseSize, r"outputs have shapes \[\(2, 8, 6, 8\)\], expected \[\(2, 8, 12, 16\)\]"),
    ],
)
def test_a_broken_fusion_fails(component, message):
    fails(check_fusion, component, message)


class GoodEmbedding(Embedding):
    def __init__(self, scene_types):
        super().__init__()
        self.levels = 1
        self.conv = nn.Conv2d(1, 4, 3, padding=1)

    def forward(self, depth):
        return [self.conv(depth)]

    def objective(self, sample):
        depth = sample.filled_depth()
        error = torch.where(sample.valid, self(depth)[0].mean(dim=1, keepdim=True) - depth, 0)
        return error.square().sum() / sample.valid.sum().clamp(min=1)


class MoreLevels(GoodEmbedding):
    def __init__(self, scene_types):
        super().__init__(scene_types)
        self.levels = 2


class SeesHoles(GoodEmbedding):
    def objective(self, sample):
        return (self(sample.depth)[0].mean(dim=1, keepdim=True) - sample.depth).square().mean()


class EmptyMean(GoodEmbedding):
    def objective(self, sample):
        depth = sample.filled_depth()
        return (self(depth)[0].mean(dim=1, keepdim=True) - depth)[sample.valid].square().mean()


class NotTrained(GoodEmbedding):
    trained = False


class Untouched(GoodEmbedding):
    def __init__(self, scene_types):
        super().__init__(scene_types)
        self.head = nn.Linear(4, 4)


class PerPixel(GoodEmbedding):
    def objective(self, sample):
        return super().objective(sample)[None]


def test_a_good_embedding_passes():
    check_embedding(GoodEmbedding)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (MoreLevels, "forward gives 1 levels, and `levels` says 2"),
        (SeesHoles, "objective: .* becomes nan with nan in invalid pixels"),
        (NotTrained, "has parameters, and `trained` says that it has none"),
        (Untouched, "no gradient reaches head.weight, head.bias"),
        (EmptyMean, "is not finite where no pixel is valid"),
        (PerPixel, "expected a finite float32 scalar"),
    ],
)
def test_a_broken_embedding_fails(component, message):
    fails(check_embedding, component, message)


class GoodLoss(Loss):
    def forward(self, prediction, sample):
        error = torch.where(sample.valid, prediction, 0) - sample.filled_depth()
        return error.abs().sum() / sample.valid.sum().clamp(min=1)


class Unmasked(Loss):
    def forward(self, prediction, sample):
        return (prediction - sample.depth).abs().mean()


class MaskedTooLate(Loss):
    """The value is right and the gradient is NaN."""

    def forward(self, prediction, sample):
        error = (prediction - sample.depth).square()
        return torch.where(sample.valid, error, 0).sum() / sample.valid.sum().clamp(min=1)


class ZeroOverZero(Loss):
    def forward(self, prediction, sample):
        return (torch.where(sample.valid, prediction, 0) - sample.filled_depth()).abs().sum() / sample.valid.sum()


class Summed(GoodLoss):
    def forward(self, prediction, sample):
        return super().forward(prediction, sample) * sample.valid.sum()


class Rooted(GoodLoss):
    """The root's gradient at 0 is not finite."""

    def forward(self, prediction, sample):
        error = torch.where(sample.valid, prediction, 0) - sample.filled_depth()
        return (error.square().sum() / sample.valid.sum().clamp(min=1)).sqrt()


class MinimalElsewhere(GoodLoss):
    def forward(self, prediction, sample):
        return super().forward(prediction - 1, sample)


class InDouble(GoodLoss):
    def forward(self, prediction, sample):
        return super().forward(prediction, sample).double()


class Detached(GoodLoss):
    def forward(self, prediction, sample):
        return super().forward(prediction.detach(), sample)


def test_a_good_loss_passes():
    check_loss(GoodLoss)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Unmasked, "the gradient in invalid pixels is not 0"),
        (MaskedTooLate, "the gradient changes with .* mask before arithmetic, not after"),
        (ZeroOverZero, "nan where no pixel is valid, expected 0"),
        (Summed, "a loss is a mean"),
        (Rooted, "the gradient at a perfect prediction is not finite"),
        (MinimalElsewhere, "the perfect one must be less"),
        (InDouble, "torch.float64, finite: True; expected a finite float32 scalar"),
        (Detached, "no gradient reaches the prediction"),
    ],
)
def test_a_broken_loss_fails(component, message):
    fails(check_loss, component, message)


class GoodDataset(Dataset):
    scene_types = ("kitchen", "office")

    def __init__(self, split, root=None):
        self.split = split

    def __len__(self):
        return 3

    def __getitem__(self, index):
        depth = torch.full((1, 4, 6), 2.0)
        depth[0, 0, 0] = torch.nan
        valid = torch.ones(1, 4, 6, dtype=torch.bool)
        valid[0, 0, 0] = False
        return Sample(torch.full((3, 4, 6), index, dtype=torch.uint8), depth, valid, torch.tensor(index % 2))

    def name(self, index):
        return f"{self.split}/{index}"

    def fingerprint(self):
        return hashlib.sha256(self.split.encode()).hexdigest()


class Empty(GoodDataset):
    def __len__(self):
        return 0


class FloatImage(GoodDataset):
    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return sample._replace(image=sample.image / 255)


class HolesCalledValid(GoodDataset):
    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return sample._replace(valid=torch.ones_like(sample.valid))


class UnknownScene(GoodDataset):
    def __getitem__(self, index):
        return super().__getitem__(index)._replace(scene=torch.tensor(2))


class NamesAgain(GoodDataset):
    def name(self, index):
        return str(index)


class OneFingerprint(GoodDataset):
    def fingerprint(self):
        return "same"


class FreshFingerprint(GoodDataset):
    def fingerprint(self):
        return str(id(self))


class OneNote(GoodDataset):
    def notes(self):
        return "depth is radial"


class OtherTypes(GoodDataset):
    def __init__(self, split, root=None):
        super().__init__(split, root)
        self.scene_types = ("kitchen", split)


class HoldsALambda(GoodDataset):
    def __init__(self, split, root=None):
        super().__init__(split, root)
        self.transform = lambda image: image


class Noisy(GoodDataset):
    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return sample._replace(depth=sample.depth + torch.rand(()))


def test_a_good_dataset_passes():
    check_dataset(GoodDataset)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Empty, "Empty train: holds no image"),
        (FloatImage, r"image is \(3, 4, 6\) torch.float32, expected \(3, 4, 6\) torch.uint8"),
        (HolesCalledValid, "a valid depth is not a positive number of metres"),
        (UnknownScene, "scene is 2, expected an index into 2 scene types"),
        (NamesAgain, r"NamesAgain val: name\(0\) is '0', as is an image of train"),
        (OneFingerprint, "OneFingerprint val: the fingerprint is also that of train"),
        (FreshFingerprint, "two instances have the fingerprints"),
        (OneNote, r"notes\(\) 'depth is radial', expected a string and several"),
        (OtherTypes, r"OtherTypes val: scene types are \['kitchen', 'val'\]"),
        (HoldsALambda, "cannot be pickled"),
        (Noisy, r"Noisy train\[0\]: differs when read again"),
    ],
)
def test_a_broken_dataset_fails(component, message):
    fails(check_dataset, component, message)


def test_a_check_takes_no_random_numbers_from_its_caller():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check_loss(GoodLoss)
    assert torch.equal(torch.rand(2), expected)
