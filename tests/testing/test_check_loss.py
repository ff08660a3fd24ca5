"""The check of losses knows losses that draw random numbers, that have parameters, and that need more than depth."""

import pytest
import torch
from torch import nn

from cliffkit.interfaces import Embedding, Loss
from cliffkit.testing import check_embedding, check_loss
from cliffkit_embeddings.heg_s import HegS


class RandomPairs(Loss):
    """Mean difference of the errors of random pairs of pixels, plus the mean error: draws anew in every call."""

    def forward(self, prediction, batch):
        error = torch.where(batch.valid, prediction, 0) - batch.filled_depth()
        valid = batch.valid.flatten()
        pairs = torch.randint(0, valid.numel(), (2, 500), device=valid.device)
        both = valid[pairs].all(0)
        difference = error.flatten()[pairs].diff(dim=0)[0].abs()
        pairwise = torch.where(both, difference, 0).sum() / both.sum().clamp(min=1)
        return pairwise + error.abs().sum() / batch.valid.sum().clamp(min=1)


class OwnGenerator(RandomPairs):
    """Takes its numbers from a generator that nobody seeds."""

    generator = torch.Generator().manual_seed(0)

    def forward(self, prediction, batch):
        noise = 1 + torch.rand((), generator=self.generator)
        error = torch.where(batch.valid, prediction, 0) - batch.filled_depth()
        return noise * error.abs().sum() / batch.valid.sum().clamp(min=1)


class Likelihood(Loss):
    """Laplace's negative log likelihood at a variance that the head gives."""

    needs = ("log_scale",)

    def forward(self, prediction, batch, *, log_scale):
        error = torch.where(batch.valid, prediction, 0) - batch.filled_depth()
        term = torch.where(batch.valid, error.abs() * (-log_scale).exp() + log_scale, 0)
        return term.sum() / batch.valid.sum().clamp(min=1)


class Weighted(Loss):
    """L1 with a learned weight."""

    def __init__(self):
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(()))

    def forward(self, prediction, batch):
        error = torch.where(batch.valid, prediction, 0) - batch.filled_depth()
        mean = error.abs().sum() / batch.valid.sum().clamp(min=1)
        return mean * (-self.log_variance).exp()


def test_a_loss_that_draws_from_torch_passes():
    check_loss(RandomPairs)


def test_a_loss_that_draws_from_a_generator_of_its_own_fails():
    with pytest.raises(AssertionError, match=r"OwnGenerator: .* becomes .* in invalid pixels"):
        check_loss(OwnGenerator)


def test_a_loss_with_a_parameter_passes():
    check_loss(Weighted)


def test_a_loss_that_needs_more_than_depth_is_checked_with_what_it_needs():
    with pytest.raises(AssertionError, match=r"Likelihood: needs \['log_scale'\], and `given` holds \[\]"):
        check_loss(Likelihood)


class Gradients(Embedding):
    """Differences of neighbours: nothing to train, so no objective."""

    trained = False

    def __init__(self, scene_types):
        super().__init__()
        self.levels = 1

    def forward(self, depth):
        return [
            torch.cat([depth.diff(dim=-1, append=depth[..., -1:]), depth.diff(dim=-2, append=depth[..., -1:, :])], 1)
        ]


class Forgotten(Gradients):
    """Trained, as embeddings are unless they say otherwise, and without an objective."""

    trained = True

    def __init__(self, scene_types):
        super().__init__(scene_types)
        self.gain = nn.Parameter(torch.ones(()))


def test_an_embedding_that_is_not_trained_needs_no_objective():
    check_embedding(Gradients)


def test_an_embedding_that_is_trained_does():
    with pytest.raises(AssertionError, match=r"Forgotten: is trained and has no method `objective\(batch\)`; add one"):
        check_embedding(Forgotten)


class WrongClasses(HegS):
    """Scores one scene type too many."""

    def classify(self, depth):
        return torch.cat([super().classify(depth), torch.zeros(len(depth), 1)], dim=1)


def test_a_generator_that_names_scene_types_scores_each_of_them():
    check_embedding(HegS)
    with pytest.raises(AssertionError, match=r"WrongClasses.classify: gives \(3, 5\), expected .* of 4 scene types"):
        check_embedding(WrongClasses)
