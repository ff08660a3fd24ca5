"""What of a network is trained and how fast, by pattern; any optimiser goes on to the bit; losses that learn."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cliffkit.data.pack import Pack
from cliffkit.errors import UserError
from cliffkit.events import Event, Progress
from cliffkit.interfaces import Batch
from cliffkit.store.artifacts import LOSSES, WEIGHTS, FitFacts
from cliffkit.training.fit import fit
from cliffkit.training.job import FitJob, Goal
from cliffkit.training.tensors import weights_of

from ..engine_fixtures import Tiny, Toy, ToyObjective, cpu, packed, settings, toy

SGD = {"use": "sgd", "momentum": 0.0}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return packed(Tiny(), tmp_path_factory.mktemp("parts") / "pack")


class Norms(nn.Module):
    """A backbone and a head with normalisation and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.ReLU())
        self.head = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.head(self.backbone(image))
        return result


def run(
    pack: Pack,
    folder: Path,
    module: nn.Module,
    objective: nn.Module | None = None,
    *,
    scores: list[float] | None = None,
    losses: dict[str, nn.Module] | None = None,
    stop_at: int | None = None,
    **options: Any,
) -> FitFacts:
    """Fit a module; `stop_at` is the step at which the process dies."""
    told = iter(scores or [])
    goal = Goal("score", False, lambda: {"score": next(told, 1.0)})

    def emit(event: Event) -> None:
        if isinstance(event, Progress) and event.done == stop_at:
            raise Stopped

    folder.mkdir(exist_ok=True, parents=True)
    training = settings(**{"steps": 6, "lr": 0.05, **options})
    job = FitJob(
        module, objective or ToyObjective(module), pack, training, goal, "depth", 0, folder, cpu(), emit, losses or {}
    )
    return fit(job)


class Stopped(BaseException):
    """The process ends here."""


def test_a_group_moves_by_its_own_rate(pack: Pack, tmp_path: Path) -> None:
    """In one step of plain gradient descent each weight moves by rate times slope."""
    moves = {}
    for name, groups in (("all", {}), ("slow", {"first": 0.1}), ("last counts", {"*": 2.0, "second.bias": 0.5})):
        net, _ = toy()
        before = {key: value.clone() for key, value in weights_of(net).items()}
        run(pack, tmp_path / name, net, steps=1, optimizer=SGD, groups=groups)
        moves[name] = {key: value - before[key] for key, value in weights_of(net).items()}
    for key, move in moves["all"].items():
        assert move.abs().max() > 1e-4
        torch.testing.assert_close(
            moves["slow"][key], move * (0.1 if key.startswith("first") else 1), atol=1e-7, rtol=1e-4
        )
        factor = 0.5 if key == "second.bias" else 2.0
        torch.testing.assert_close(moves["last counts"][key], move * factor, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_what_is_frozen_does_not_change_in_any_bit(pack: Pack, tmp_path: Path, optimizer: str) -> None:
    """Neither weights nor running statistics, whatever decay, average, clipping and validation do."""
    torch.manual_seed(0)
    net = Norms()
    before = {name: value.clone() for name, value in weights_of(net).items()}
    choices = {"weight_decay": 0.3, "ema": 0.5, "clip_norm": 1.0, "validate_every": 2, "optimizer": optimizer}
    run(pack, tmp_path, net, freeze=["backbone"], **choices)
    for kept in (load_file(tmp_path / WEIGHTS), weights_of(net)):
        for name, value in kept.items():
            assert torch.equal(value, before[name]) == name.startswith("backbone."), name
    assert not any(parameter.grad is not None for parameter in net.backbone.parameters())


def test_only_normalisation_of_what_is_frozen_is_still_the_rest_of_it_trains_on(pack: Pack, tmp_path: Path) -> None:
    modes: list[dict[str, bool]] = []

    class Watched(ToyObjective):
        def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
            modes.append({name: module.training for name, module in self.net.named_modules()})
            return super().forward(batch, step)

    net = Norms()
    run(pack, tmp_path, net, Watched(net), freeze=["backbone"], steps=3, validate_every=1)
    assert len(modes) == 3
    for mode in modes:
        assert {name for name, training in mode.items() if not training} == {"backbone.1"}


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"freeze": ["firs"]}, r"train\.depth\.freeze: 'firs' matches no parameter; did you mean 'first'\?"),
        ({"groups": {"third": 0.1}}, r"train\.depth\.groups: 'third' matches no parameter; .*first"),
        ({"freeze": ["*"]}, r"train\.depth\.freeze: every parameter is frozen"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused(
    pack: Pack, tmp_path: Path, choice: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(pack, tmp_path, toy()[0], **choice)


@pytest.mark.parametrize(
    "optimizer",
    ["adam", {"use": "adamw", "amsgrad": True}, SGD, {"use": "sgd", "nesterov": True}],
    ids=["adam", "adamw", "sgd without a state", "sgd"],
)
@pytest.mark.parametrize(
    "schedule", ["onecycle", "poly", {"use": "step", "milestones": [2, 4]}], ids=["onecycle", "poly", "step"]
)
def test_a_fit_that_was_killed_ends_with_the_bits_of_an_unbroken_one(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: Any, schedule: Any
) -> None:
    """With groups, a frozen part and every step of augmentation."""
    monkeypatch.setattr("cliffkit.training.fit.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("cliffkit.training.fit.CHECKPOINT_SHARE", math.inf)
    monkeypatch.setattr("cliffkit.training.fit.LOG_EVERY", 1)
    augment = [{"use": use} for use in ("random_crop", "flip", "rotate", "color_jitter", "cutdepth")]
    choices = {"optimizer": optimizer, "schedule": schedule, "augment": augment, "groups": {"head": 0.5}}
    choices |= {"freeze": ["backbone.0"], "weight_decay": 0.1, "warmup_steps": 2}
    ends = []
    for name, stops in (("unbroken", []), ("broken", [2, 4])):
        for stop_at in (*stops, None):
            torch.manual_seed(7)
            net = Norms()
            if stop_at is None:
                run(pack, tmp_path / name, net, **choices)
            else:
                with pytest.raises(Stopped):
                    run(pack, tmp_path / name, net, stop_at=stop_at, **choices)
        ends.append((tmp_path / name / WEIGHTS).read_bytes())
    assert ends[0] == ends[1]


def test_saving_takes_no_greater_share_of_the_time_than_it_may(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint of a gigabyte takes seconds: every 20 seconds it would hold the training up."""
    saves: list[tuple[float, float]] = []

    def save(*_: object) -> None:
        began = time.monotonic()
        time.sleep(0.005)
        saves.append((began, time.monotonic()))

    monkeypatch.setattr("cliffkit.training.fit.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("cliffkit.training.fit.CHECKPOINT_SHARE", 0.25)
    monkeypatch.setattr("cliffkit.training.fit.save_fit", save)
    net, _ = toy()
    run(pack, tmp_path, net, steps=150)
    assert len(saves) > 1
    for (began, ended), (next_began, _) in itertools.pairwise(saves):
        assert next_began - ended >= (ended - began) / 0.25


class Learns(ToyObjective):
    """The mean's weight is learnt, as by Kendall et al., CVPR 2018: L / s + log s."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)
        self.scale = nn.Module()
        self.scale.log = nn.Parameter(torch.zeros(()))
        self.starts: list[float] = []

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        self.starts.append(float(self.scale.log.detach()))
        return {"mean": super().forward(batch, step)["mean"] * torch.exp(-self.scale.log) + self.scale.log}


def test_a_loss_that_learns_is_trained_and_saved_as_it_was_at_the_best_step(pack: Pack, tmp_path: Path) -> None:
    net = Toy()
    objective = Learns(net)
    facts = run(
        pack, tmp_path, net, objective, losses={"uncertain": objective.scale}, scores=[3.0, 1.0, 2.0], validate_every=2
    )
    assert facts.best_step == 4
    kept = load_file(tmp_path / LOSSES)
    assert kept.keys() == {"uncertain.log"}
    assert float(kept["uncertain.log"]) == objective.starts[4], "what the step after the best one started from"
    assert len(set(objective.starts)) == 6
    assert float(objective.scale.log.detach()) == objective.starts[4], "the loss is left with what is kept"


def test_going_back_to_the_best_weights_takes_losses_back_too(pack: Pack, tmp_path: Path) -> None:
    net = Toy()
    objective = Learns(net)
    run(
        pack, tmp_path, net, objective, losses={"uncertain": objective.scale}, scores=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        validate_every=1, reload_best=True, schedule={"use": "step", "milestones": [4]},
    )  # fmt: skip
    assert objective.starts[4] == objective.starts[1] != objective.starts[3]


def test_a_killed_fit_remembers_what_the_best_loss_was(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cliffkit.training.fit.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("cliffkit.training.fit.CHECKPOINT_SHARE", math.inf)
    monkeypatch.setattr("cliffkit.training.fit.LOG_EVERY", 1)
    ends = []
    for name, stops in (("unbroken", []), ("broken", [5])):
        for stop_at in (*stops, None):
            torch.manual_seed(0)
            net = Toy()
            objective = Learns(net)
            scores = [1.0, 2.0, 3.0] if name == "unbroken" or stop_at else [3.0]
            more = {"losses": {"uncertain": objective.scale}, "scores": scores, "validate_every": 2}
            if stop_at:
                with pytest.raises(Stopped):
                    run(pack, tmp_path / name, net, objective, stop_at=stop_at, **more)
            else:
                run(pack, tmp_path / name, net, objective, **more)
        ends.append((tmp_path / name / LOSSES).read_bytes())
    assert ends[0] == ends[1]


def test_without_losses_that_learn_no_file_of_theirs_is_left(pack: Pack, tmp_path: Path) -> None:
    facts = run(pack, tmp_path, toy()[0])
    assert math.isfinite(facts.best_score)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", WEIGHTS]
