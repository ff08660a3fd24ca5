from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cliffkit.data.augment import augment, draws_of
from cliffkit.data.batches import Batches, batch_indices
from cliffkit.data.pack import Pack
from cliffkit.errors import UserError
from cliffkit.events import Event, Progress, Validated
from cliffkit.interfaces import Batch, Sample
from cliffkit.recipe.fit import Fit
from cliffkit.store.artifacts import FitFacts
from cliffkit.training.fit import fit
from cliffkit.training.gradients import _backward
from cliffkit.training.job import FitJob, Goal
from cliffkit.training.optimise import build_optimizer, learning_rate
from cliffkit.training.optimizer_state import optimizer_state
from cliffkit.training.tensors import weights_of

from ..engine_fixtures import Tiny, Toy, ToyObjective, cpu, packed, settings, toy

Weights = dict[str, Tensor]
SEED = 3


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return packed(Tiny(), tmp_path_factory.mktemp("fit") / "pack")


class Scripted:
    """A validation that gives the scores it was told, one after another, and keeps the weights that it saw."""

    def __init__(self, module: nn.Module, *scores: float) -> None:
        self.module, self.scores, self.seen = module, iter(scores), []

    def __call__(self) -> Mapping[str, float]:
        self.seen.append({name: value.clone() for name, value in weights_of(self.module).items()})
        return {"score": next(self.scores, 1.0)}


def run(
    pack: Pack,
    folder: Path,
    options: Fit,
    *,
    objective: nn.Module | None = None,
    net: nn.Module | None = None,
    validate: Any = None,
    higher: bool = False,
    emit: Any = lambda event: None,
) -> tuple[nn.Module, FitFacts]:
    """Fit the toy, or what is given."""
    if net is None:
        net, objective = toy()
    assert objective is not None
    goal = Goal("score", higher, validate or Scripted(net))
    folder.mkdir(parents=True, exist_ok=True)
    job = FitJob(net, objective, pack, options, goal, "depth", SEED, folder, cpu(), emit)
    return net, fit(job)


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    for line in (folder / "log.jsonl").read_text().splitlines():
        yield json.loads(line)


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({"schedule": "constant"}, {0: 0.01, 99: 0.01}),
        ({"schedule": "cosine"}, {0: 0.01, 25: 0.00853553390593, 50: 0.005, 75: 0.00146446609407, 100: 0.0}),
        ({"schedule": "step", "milestones": [10, 20]}, {9: 0.01, 10: 0.001, 19: 0.001, 20: 0.0001, 99: 0.0001}),
        ({"schedule": "step", "milestones": [20, 10], "decay": 0.5}, {9: 0.01, 10: 0.005, 20: 0.0025}),
        ({"schedule": "step", "milestones": []}, {99: 0.01}),
        ({"schedule": "constant", "warmup_steps": 4}, {0: 0.002, 1: 0.004, 3: 0.008, 4: 0.01, 5: 0.01}),
        ({"schedule": "cosine", "warmup_steps": 99}, {49: 0.005 * 0.5 * (1 + math.cos(0.49 * math.pi))}),
    ],
)
def test_the_learning_rate_at_points_reckoned_by_hand(options: dict[str, Any], rates: dict[int, float]) -> None:
    fitting = settings(steps=100, lr=0.01, **options)
    schedule = fitting.schedule.build(100)
    assert {step: learning_rate(fitting.settings, schedule, step) for step in rates} == pytest.approx(rates, abs=1e-12)


def reference(pack: Pack, fitting: Fit) -> Weights:
    """What `fit` leaves, by a loop of torch's own parts: plain AdamW or Adam, one parameter after the other."""
    options = fitting.settings
    net, objective = toy()
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    others = [p for name, p in net.named_parameters() if not name.endswith("bias")]
    kind = torch.optim.AdamW if fitting.optimizer.component.name == "adamw" else torch.optim.Adam
    groups = [{"params": others, "weight_decay": options.weight_decay}, {"params": biases, "weight_decay": 0}]
    optimizer = kind(groups, foreach=False)
    average = {name: value.clone() for name, value in net.state_dict().items()}
    schedule, steps = fitting.schedule.build(options.steps), [part.build() for part in fitting.augment]
    batches = Batches(pack, options.batch, SEED, 0, 1, torch.device("cpu"))
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(options, schedule, step)
        sample = augment(batches.load(step), steps, batches.draws(step, draws_of(steps)))
        optimizer.zero_grad()
        sum(objective(sample, step).values()).backward()
        if options.clip_norm:
            norm = math.sqrt(sum(float(p.grad.square().sum()) for p in net.parameters()))
            for p in net.parameters():
                p.grad *= min(1, options.clip_norm / norm)
        optimizer.step()
        decay = min(options.ema, (step + 1) / (10 + step + 1))
        for name, value in net.state_dict().items():
            average[name] = decay * average[name] + (1 - decay) * value
    return average if options.ema else net.state_dict()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "adam", "weight_decay": 0.3},
        {"weight_decay": 0.3, "schedule": "cosine", "warmup_steps": 3},
        {"clip_norm": 0.05},
        {"ema": 0.2, "schedule": "step", "milestones": [4]},
        {"augment": {}},
        {"batch": 7, "ema": 0.999, "clip_norm": 0.5, "augment": {}, "weight_decay": 0.1, "schedule": "cosine"},
    ],
    ids=str,
)
def test_the_loop_does_what_a_plain_loop_of_the_same_settings_does(
    pack: Pack, tmp_path: Path, options: dict[str, Any]
) -> None:
    fitting = settings(steps=9, lr=0.02, **options)
    net, _ = run(pack, tmp_path, fitting)
    expected = reference(pack, fitting)
    kept = load_file(tmp_path / "weights.safetensors")
    start = toy()[0].state_dict()
    for name, value in expected.items():
        # the fused optimiser rounds in another order
        torch.testing.assert_close(kept[name], value, rtol=1e-4, atol=1e-5)
        assert torch.equal(net.state_dict()[name], kept[name]), "the module is left with what is kept"
        assert (value - start[name]).abs().max() > 1e-3, "it was trained"
    if options:
        plain = reference(pack, settings(steps=9, lr=0.02))
        assert max(float((plain[name] - value).abs().max()) for name, value in expected.items()) > 1e-4, "no effect"


class Still(nn.Module):
    """An objective without a slope: only weight decay moves anything."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.PReLU(4), nn.LayerNorm(16), nn.Linear(16, 2))
        with torch.no_grad():
            for parameter in self.net.parameters():
                parameter.add_(1)

    def forward(self, sample: Sample, step: int) -> dict[str, Tensor]:
        return {"still": self.net(sample.image).sum() * 0}


def test_weight_decay_spares_biases_and_normalisation(pack: Pack, tmp_path: Path) -> None:
    still = Still()
    before = {name: p.detach().clone() for name, p in still.net.named_parameters()}
    run(pack, tmp_path, settings(steps=2, lr=0.1, weight_decay=0.5), net=still.net, objective=still)
    for name, parameter in still.net.named_parameters():
        if name in ("0.weight", "4.weight"):  # convolution and linear
            torch.testing.assert_close(parameter, before[name] * (1 - 0.1 * 0.5) ** 2)
        else:
            assert torch.equal(parameter, before[name]), name


def test_the_average_of_the_weights_by_hand(pack: Pack, tmp_path: Path) -> None:
    still = Still()
    start = still.net[0].weight.detach().clone()
    run(pack, tmp_path, settings(steps=3, lr=0.1, weight_decay=1.0, ema=0.16), net=still.net, objective=still)
    # decays min(0.16, 1/11), min(0.16, 2/12), min(0.16, 3/13); weights 1, 0.9, 0.81, 0.729 of the first
    first = 1 / 11 + 10 / 11 * 0.9
    second = 0.16 * first + 0.84 * 0.81
    third = 0.16 * second + 0.84 * 0.729
    torch.testing.assert_close(load_file(tmp_path / "weights.safetensors")["0.weight"], start * third)


def test_what_is_validated_is_the_average_and_training_goes_on_from_the_weights_themselves(
    pack: Pack, tmp_path: Path
) -> None:
    ends = []
    for every in (1, 100):  # the last step is chosen in both, after seven validations of other weights or none
        net, objective = toy()
        falling = Scripted(net, *range(9, 0, -1))
        options = settings(steps=8, ema=0.5, validate_every=every)
        run(pack, tmp_path / str(every), options, net=net, objective=objective, validate=falling)
        kept = load_file(tmp_path / str(every) / "weights.safetensors")
        assert all(torch.equal(kept[name], value) for name, value in falling.seen[-1].items())
        ends.append(kept)
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def gradients(sample: Sample, micro: int | None) -> tuple[dict[str, Tensor], Weights]:
    net, objective = toy()
    terms = _backward(objective, sample, 0, micro, cpu())
    return terms, {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("micro", [1, 2, 3, 5, 8, 20])
def test_micro_batches_of_unequal_holes_give_the_gradient_of_the_whole_batch(tmp_path: Path, micro: int) -> None:
    pack = packed(Tiny(empty=(0, 5)), tmp_path / "pack")  # whole parts of size 1 are empty
    batch = pack.batch(np.array([0, 11, 1, 10, 2, 9, 3, 5]))
    sample = Batch.of(batch)
    terms, whole = gradients(sample, None)
    parted_terms, parted = gradients(sample, micro)
    assert parted_terms.keys() == terms.keys() == {"mean", "square"}
    assert whole.keys() == parted.keys() == dict(Toy().named_parameters()).keys()
    for name, term in terms.items():
        torch.testing.assert_close(parted_terms[name], term, rtol=1e-5, atol=0)
    for name, slope in whole.items():
        torch.testing.assert_close(parted[name], slope, rtol=1e-4, atol=1e-6)
    singles = [gradients(sample.map(lambda field, i=i: field[i : i + 1]), None)[1] for i in range(8)]
    unweighted = sum(single["second.bias"] for single in singles) / 8
    assert (unweighted - whole["second.bias"]).abs() > 1e-2, "parts that counted alike would be seen"


def test_a_batch_without_a_valid_pixel_moves_nothing_and_is_no_fault(tmp_path: Path) -> None:
    pack = packed(Tiny(empty=tuple(range(11))), tmp_path / "pack")
    batch = pack.batch(np.arange(6))
    for micro in (None, 2):
        terms, slopes = gradients(Batch.of(batch), micro)
        assert all(term == 0 for term in terms.values())
        assert all(not slope.any() for slope in slopes.values())


def test_training_in_micro_batches_ends_where_training_whole_does(pack: Pack, tmp_path: Path) -> None:
    ends = [weights_of(run(pack, tmp_path / str(m), settings(steps=8, batch=6, micro_batch=m))[0]) for m in (None, 4)]
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("higher", "scores", "chosen"),
    [
        (False, (3.0, 1.0, 2.0, 1.0), 2),  # a tie does not move the choice
        (True, (3.0, 1.0, 5.0, 2.0), 3),
        (False, (math.nan, 7.0, math.nan, 8.0), 2),
        (True, (math.nan, -7.0, -8.0, math.nan), 2),
    ],
)
def test_the_weights_kept_are_those_of_the_best_validation(
    pack: Pack, tmp_path: Path, higher: bool, scores: tuple[float, ...], chosen: int
) -> None:
    net, objective = toy()
    script = Scripted(net, *scores)
    events: list[Event] = []
    options = settings(steps=8, validate_every=2)
    _, fitted = run(
        pack, tmp_path, options, net=net, objective=objective, validate=script, higher=higher, emit=events.append
    )
    assert fitted.best_step == 2 * chosen
    assert fitted.best_score == scores[chosen - 1]
    kept = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(value, kept[name]) for name, value in script.seen[chosen - 1].items())
    assert all(torch.equal(value, kept[name]) for name, value in weights_of(net).items())
    assert any(not torch.equal(value, kept[name]) for name, value in script.seen[-1].items()) or chosen == 4
    validated = [event for event in events if isinstance(event, Validated)]
    assert [event.step for event in validated] == [2, 4, 6, 8]
    assert [event.step for event in validated if event.best][-1] == 2 * chosen
    assert [line["best"] for line in lines(tmp_path) if "val" in line] == [event.best for event in validated]


def test_the_last_step_is_validated_whatever_the_interval(pack: Pack, tmp_path: Path) -> None:
    for every, expected in ((3, [3, 6, 7]), (7, [7]), (100, [7])):
        run(pack, tmp_path / str(every), settings(steps=7, validate_every=every))
        assert [line["step"] for line in lines(tmp_path / str(every)) if "val" in line] == expected


def test_scores_that_are_never_finite_end_with_the_remedy(pack: Pack, tmp_path: Path) -> None:
    net, objective = toy()
    with pytest.raises(UserError, match=r"no validation score is finite.*lower train\.depth\.lr"):
        run(pack, tmp_path, settings(steps=2), net=net, objective=objective, validate=Scripted(net, math.nan))
    assert not (tmp_path / "weights.safetensors").exists()


class Watched(ToyObjective):
    """Keeps the weights that each step starts from."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)
        self.starts: list[Weights] = []

    def forward(self, sample: Sample, step: int) -> dict[str, Tensor]:
        assert step == len(self.starts), "the objective is told how many steps are behind it"
        self.starts.append({name: value.clone() for name, value in weights_of(self.net).items()})
        return super().forward(sample, step)


@pytest.mark.parametrize("reload_best", [True, False])
def test_training_goes_back_to_the_best_weights_at_each_milestone_where_asked(
    pack: Pack, tmp_path: Path, reload_best: bool
) -> None:
    net, _ = toy()
    watched, script = Watched(net), Scripted(net, 5, 1, 2, 3, 4, 5, 6, 7)
    options = settings(steps=8, schedule="step", milestones=[4, 7], reload_best=reload_best, validate_every=1)
    run(pack, tmp_path, options, net=net, objective=watched, validate=script)
    best = script.seen[1]  # after two steps
    for step in (4, 7):
        back = all(torch.equal(value, best[name]) for name, value in watched.starts[step].items())
        assert back == reload_best
    for step in (1, 3, 5, 6):  # elsewhere each step goes on from the one before
        assert all(torch.equal(value, script.seen[step - 1][name]) for name, value in watched.starts[step].items())


@pytest.mark.parametrize("reload_best", [True, "all"])
def test_the_optimiser_goes_back_to_its_state_at_the_best_weights_where_all_is_asked(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reload_best: bool | str
) -> None:
    optimizers: list[torch.optim.Optimizer] = []
    states: list[dict[str, Tensor]] = []

    def watched(*given: Any) -> Any:
        built = build_optimizer(*given)
        optimizers.append(built[0])
        return built

    class Observed(Watched):
        def forward(self, sample: Sample, step: int) -> dict[str, Tensor]:
            states.append({name: value.clone() for name, value in optimizer_state(optimizers[0])[0].items()})
            return super().forward(sample, step)

    monkeypatch.setattr("cliffkit.training.running.build_optimizer", watched)
    net, _ = toy()
    options = settings(steps=5, schedule="step", milestones=[4], reload_best=reload_best, validate_every=1)
    run(pack, tmp_path, options, net=net, objective=Observed(net), validate=Scripted(net, 5, 1, 2, 3, 4))
    assert states[2]
    same = all(torch.equal(value, states[2][name]) for name, value in states[4].items())
    assert same == (reload_best == "all")


class Fails(ToyObjective):
    """A term that stops being finite after some steps."""

    def __init__(self, net: nn.Module, after: int, value: float) -> None:
        super().__init__(net)
        self.after, self.value = after, value
        self.depth: list[Tensor] = []

    def forward(self, sample: Sample, step: int) -> dict[str, Tensor]:
        self.depth.append(sample.depth.clone())
        terms = super().forward(sample, step)
        return {**terms, "square": terms["square"] * (self.value if step >= self.after else 1)}


@pytest.mark.parametrize(("after", "value"), [(0, math.nan), (6, math.inf), (9, math.nan), (22, -math.inf)])
@pytest.mark.parametrize("micro", [None, 3])
def test_a_term_that_is_not_finite_is_named_with_its_step_and_its_batch_is_kept(
    pack: Pack, tmp_path: Path, after: int, value: float, micro: int | None
) -> None:
    net, _ = toy()
    objective = Fails(net, after, value)
    step = after + 1
    with pytest.raises(UserError, match=rf"stage depth, step {step}: the term 'square' is .*lower\s+train\.depth\.lr"):
        run(pack, tmp_path, settings(steps=40, micro_batch=micro), net=net, objective=objective)
    (path,) = tmp_path.glob("diverged-*.safetensors")
    kept = load_file(path)
    expected = pack.batch(batch_indices(len(pack), 4, SEED, after))
    assert kept.keys() == expected.tensors().keys()
    assert all(torch.equal(kept[name], field) for name, field in expected.tensors().items())
    if micro is None:
        assert torch.equal(kept["depth"], objective.depth[after]), "it is what that step was trained on"
    assert [line["step"] for line in lines(tmp_path) if "val" not in line] == list(range(1, step)), "none after it"
    assert not (tmp_path / "weights.safetensors").exists()


def test_the_log_has_every_step_once_with_its_rate_and_terms(pack: Pack, tmp_path: Path) -> None:
    events: list[Event] = []
    fitting = settings(steps=23, schedule="cosine", lr=0.01, warmup_steps=5, validate_every=6)
    run(pack, tmp_path, fitting, emit=events.append)
    written = list(lines(tmp_path))
    schedule = fitting.schedule.build(23)
    steps = [line for line in written if "val" not in line]
    assert [line["step"] for line in steps] == list(range(1, 24))
    assert [line["lr"] for line in steps] == [learning_rate(fitting.settings, schedule, step) for step in range(23)]
    for line in steps:
        assert line["stage"] == "depth"
        assert line["loss"] == pytest.approx(line["mean"] + line["square"])
    assert [line["step"] for line in written if "val" in line] == [6, 12, 18, 23]
    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.done for event in progress] == [6, 10, 12, 18, 20, 23], "every tenth step, and before a validation"
    assert {event.total for event in progress} == {23}
    assert [line["step"] for line in written] == sorted(line["step"] for line in written)
    assert progress[-1].figures["loss"] == pytest.approx(steps[-1]["loss"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "weights.safetensors"]


def test_a_batch_that_processes_cannot_share_is_refused(pack: Pack, tmp_path: Path) -> None:
    three = SimpleNamespace(num_processes=3, process_index=0, is_main_process=True, device=torch.device("cpu"))
    device = replace(cpu(), accelerator=three)
    net, objective = toy()
    goal = Goal("score", False, lambda: {"score": 1.0})
    with pytest.raises(UserError, match=r"train\.depth\.batch: 4 images cannot be shared evenly by 3 processes"):
        fit(FitJob(net, objective, pack, settings(steps=1), goal, "depth", 0, tmp_path, device, lambda event: None))


def test_what_is_drawn_at_random_in_a_step_depends_on_seed_and_step_alone(pack: Pack, tmp_path: Path) -> None:
    class Draws(ToyObjective):
        def forward(self, sample: Sample, step: int) -> dict[str, Tensor]:
            drawn.append((step, float(torch.rand(()))))
            return super().forward(sample, step)

    runs = []
    for disturbance in (0, 5):
        drawn: list[tuple[int, float]] = []
        net, _ = toy()
        torch.rand(disturbance)
        run(pack, tmp_path / str(disturbance), settings(steps=4), net=net, objective=Draws(net))
        runs.append(drawn)
    assert runs[0] == runs[1]
    assert len({value for _, value in runs[0]}) == 4
