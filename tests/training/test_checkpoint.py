from __future__ import annotations

import itertools
import json
import math
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cliffkit.errors import UserError
from cliffkit.store import checksums
from cliffkit.store.checksums import FileSum, checksum
from cliffkit.training import checkpoint, steplog
from cliffkit.training.checkpoint import (
    checkpoint_step,
    drop_checkpoint,
    has_checkpoint,
    load_checkpoint,
    save_checkpoint,
    saved_step,
)
from cliffkit.training.optimizer_state import load_optimizer, optimizer_state
from cliffkit.training.steplog import StepLog, validation_curve, validation_lines
from cliffkit.training.tensors import save_tensors

from ..store_fixtures import DAMAGES


def save(folder: Path, step: int, log: FileSum | None = None) -> None:
    weights = {"w": torch.full((2, 3), float(step))}
    save_checkpoint(folder, {"weights": weights, "best": {}}, {"step": step, "x": None}, log)


def step_of(folder: Path) -> int | None:
    loaded = load_checkpoint(folder)
    assert has_checkpoint(folder) == (loaded is not None)
    if loaded is None:
        assert checkpoint_step(folder) is None
        return None
    groups, state = loaded
    assert checkpoint_step(folder) == state["step"]
    assert groups["best"] == {}
    assert (groups["weights"]["w"] == state["step"]).all(), "tensors and state are of one checkpoint"
    return int(state["step"])


def test_what_was_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    odd = {
        "half": torch.tensor([1.5, float("nan"), float("inf")], dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "turned": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "part": torch.randn(6)[::2],
    }
    odd["same"] = odd["part"]
    save_checkpoint(tmp_path, {"weights": odd, "average": {}}, {"step": 3, "best_score": None, "seconds": 0.1 + 0.2})
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    groups, state = loaded
    assert state == {"step": 3, "best_score": None, "seconds": 0.1 + 0.2}
    assert groups.keys() == {"weights", "average"}
    for name, tensor in odd.items():
        read = groups["weights"][name]
        assert read.dtype == tensor.dtype
        assert torch.equal(read.nan_to_num(9), tensor.nan_to_num(9))
        assert torch.equal(read.isnan(), tensor.isnan())


def test_the_last_checkpoint_counts_and_leaves_the_one_before_it_alone(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    for step in (10, 20, 30):
        save(tmp_path, step)
        assert step_of(tmp_path) == step
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "checkpoint.old"}
    drop_checkpoint(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_step_alone_is_told_without_reading_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saved_step(tmp_path) is None
    save(tmp_path, 10)
    save(tmp_path, 20)
    read: list[Path] = []
    monkeypatch.setattr("cliffkit.store.checksums.checksum", lambda path: read.append(path))
    assert saved_step(tmp_path) == 20
    assert read == []
    (tmp_path / "checkpoint" / "weights.safetensors").write_bytes(b"cut off")
    assert saved_step(tmp_path) == 10


class Killed(BaseException):
    pass


CALLS = (
    (os, "rename"), (os, "replace"), (shutil, "rmtree"), (Path, "write_text"), (Path, "rename"), (Path, "mkdir"),
)  # fmt: skip
"""How `save_checkpoint` reaches the file system, but for what safetensors writes into a temporary file."""


@pytest.mark.parametrize("first", [True, False], ids=["the first", "a later one"])
def test_a_kill_anywhere_in_saving_leaves_the_last_checkpoint_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """Every rename and every file written is a place to die at; then one saves again, and dies again."""

    def dying(folder: Path, calls: int, step: int) -> bool:
        """Save, and die before or after a call into the file system; whether there was such a call."""
        place, after = divmod(calls, 2)
        met = itertools.count()

        def or_die(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                here = next(met) == place
                if here and not after:
                    raise Killed
                result = real(*arguments, **named)
                if here:
                    raise Killed
                return result

            return call

        with monkeypatch.context() as patch:
            for module, name in CALLS:
                patch.setattr(module, name, or_die(getattr(module, name)))
            try:
                save(folder, step)
            except Killed:
                return True
            return False

    places = 0
    while True:
        folder = tmp_path / f"{places}"
        folder.mkdir()
        if not first:
            save(folder, 10)
        killed = dying(folder, places, 20)
        assert step_of(folder) in ((None, 20) if first else (10, 20)), f"killed at call {places}"
        after = step_of(folder)
        dying(folder, places, 30)  # what the first kill left does not harm the next attempt
        assert step_of(folder) in (after, 30)
        save(folder, 40)
        assert step_of(folder) == 40
        drop_checkpoint(folder)
        assert not list(folder.iterdir())
        if not killed:
            break
        places += 1
    assert places > 12, "the places to die at were met"


def test_two_kills_in_a_row_cost_no_more_than_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first between the renames, the second as soon as the next checkpoint is begun."""
    save(tmp_path, 20)
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.new")
    for name in ("mkdir", "write_text"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, lambda *_, **__: (_ for _ in ()).throw(Killed))
            with pytest.raises(Killed):
                save(tmp_path, 30)
        assert step_of(tmp_path) == 20


def test_each_state_between_the_two_renames_is_survived(tmp_path: Path) -> None:
    new, whole, old = tmp_path / "checkpoint.new", tmp_path / "checkpoint", tmp_path / "checkpoint.old"
    save(tmp_path, 20)
    whole.rename(new)
    assert step_of(tmp_path) == 20  # the new one complete, alone
    save(tmp_path, 10)
    shutil.rmtree(old)
    whole.rename(old)
    save(tmp_path, 20)
    whole.rename(new)
    assert step_of(tmp_path) == 20  # the old one moved away, the new one not yet in its place
    new.rename(whole)
    assert step_of(tmp_path) == 20  # the old one not yet removed
    save(tmp_path, 30)
    shutil.copytree(whole, new)
    (new / "state.json").unlink()
    assert step_of(tmp_path) == 30  # a new one half written
    drop_checkpoint(tmp_path)
    assert not list(tmp_path.iterdir())


def test_tensors_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.safetensors"
    save_tensors(path, {"w": torch.ones(3)})
    with monkeypatch.context() as patch:
        patch.setattr("cliffkit.store.files.sync", lambda path: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(UserError, match="cannot be written: disk full"):
            save_tensors(path, {"w": torch.zeros(3)})
    assert torch.equal(load_file(path)["w"], torch.ones(3))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def sgd(groups: list[dict[str, Any]], **options: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, 0.01, fused=True, **options)


class Odd(torch.optim.Optimizer):
    """Keeps what other optimisers do: wide and whole numbers, Python's, None, text, and an estimate in the group."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 0.01, "estimate": 1 / 3, "betas": (0.5, 0.9)})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            group["estimate"] *= 1.1
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state |= {
                        "sum": torch.zeros_like(p, dtype=torch.float64),
                        "sign": torch.zeros_like(p).to(torch.int8),
                    }
                    state |= {"count": 0, "scale": 0.1, "before": None, "phase": "first"}
                state["sum"] += p.grad.double() / 3
                state["sign"] += p.grad.sign().to(torch.int8)
                state["before"] = state["scale"] if state["before"] is not None or state["count"] else None
                state["count"], state["scale"], state["phase"] = state["count"] + 1, state["scale"] * 0.9, "later"
                change = state["sum"] * state["scale"] + 0.01 * state["sign"] + 0.01 * (state["before"] or 0)
                p -= (group["lr"] * group["estimate"] * change).to(p.dtype)


@pytest.mark.parametrize(
    "kind",
    [
        lambda groups: torch.optim.Adam(groups, 0.01, fused=True),
        lambda groups: torch.optim.AdamW(groups, 0.01, fused=True, amsgrad=True),
        lambda groups: sgd(groups),
        lambda groups: sgd(groups, momentum=0.9, nesterov=True),
        lambda groups: torch.optim.RMSprop(groups, 0.01, centered=True, momentum=0.5),
        Odd,
    ],
    ids=["adam", "adamw", "sgd without a state", "sgd", "rmsprop", "numbers, None, text and other types"],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_optimiser_goes_on_to_the_same_bits(
    tmp_path: Path, kind: Callable[..., torch.optim.Optimizer], layout: torch.memory_format
) -> None:
    """In channels_last too, where moments laid out otherwise than their parameter would be taken for other weights'."""

    def begin() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(5, 7, 3), nn.BatchNorm2d(7), nn.Conv2d(7, 2, 3)).to(memory_format=layout)
        matrices, vectors = ([p for p in net.parameters() if (p.ndim > 1) == wide] for wide in (True, False))
        return net, kind([{"params": matrices}, {"params": vectors, "weight_decay": 0}])

    def train(net: nn.Module, optimizer: torch.optim.Optimizer, start: int, stop: int) -> None:
        for step in range(start, stop):
            torch.manual_seed(step)
            net(torch.randn(2, 5, 9, 8)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    straight = begin()
    train(*straight, 0, 6)
    broken_off = begin()
    train(*broken_off, 0, 3)
    tensors, plain = optimizer_state(broken_off[1])
    save_checkpoint(tmp_path, {"weights": broken_off[0].state_dict(), "optimizer": tensors}, {"optimizer": plain})
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    net, optimizer = begin()
    net.load_state_dict(loaded[0]["weights"])
    load_optimizer(optimizer, loaded[0].get("optimizer", {}), loaded[1]["optimizer"])
    train(net, optimizer, 3, 6)
    for name, value in straight[0].state_dict().items():
        assert torch.equal(net.state_dict()[name], value), name
    (ended, numbers), (expected, expected_numbers) = (optimizer_state(each) for each in (optimizer, straight[1]))
    assert ended.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(ended[name], value), name
        assert ended[name].dtype == value.dtype, name
    assert numbers == expected_numbers


def test_an_optimiser_whose_state_no_checkpoint_holds_is_named() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], 0.1)
    optimizer.state[weight]["history"] = [1, 2]
    with pytest.raises(UserError, match=r"optimiser SGD keeps a list as 'history'; .*: mend the optimiser's plugin"):
        optimizer_state(optimizer)


def test_a_resumed_log_forgets_what_came_after_its_checkpoint_and_lines_cut_off(tmp_path: Path) -> None:
    log = StepLog(tmp_path / "log.jsonl", active=True)
    log.write({"step": 9})  # of an attempt without a checkpoint
    log.keep(0)
    sums = []
    for step in (1, 2, 3, 4):
        log.write({"step": step, "val": {"score": float("nan") if step == 2 else 0.5}, "best": step == 1})
        sums.append(log.sum())
        assert log.sum() == checksum(log.path), "the sum is that of the file, which is not read for it"
    parts = log.path.read_bytes().splitlines(keepends=True)
    for cut in range(len(parts[3])):  # a kill may leave any part of the last line
        log.path.write_bytes(b"".join(parts[:3]) + parts[3][:cut])
        again = StepLog(log.path, active=True)
        again.keep(sums[2].bytes)
        assert log.path.read_bytes() == b"".join(parts[:3]), parts[3][:cut]
        assert again.sum() == sums[2]
        again.write({"step": 4}, {"step": 5})
        assert again.sum() == checksum(log.path)
    again.keep(sums[1].bytes)
    assert [json.loads(line) for line in log.path.read_text().splitlines()] == [
        {"step": 1, "val": {"score": 0.5}, "best": True},
        {"step": 2, "val": {"score": None}, "best": False},
    ]


def test_saving_a_fit_reads_its_log_and_its_tensors_no_more_often_the_longer_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs have up to 10^6 steps: a log of 200 MB and thousands of checkpoints."""
    log = StepLog(tmp_path / "log.jsonl", active=True)
    read: list[str] = []
    own = checksums._sha256
    monkeypatch.setattr(checksums, "_sha256", lambda path: (read.append(path.name), own(path))[1])
    monkeypatch.setattr(checkpoint, "beginning", lambda path, size: read.append(path.name))
    for step in range(5):
        log.write({"step": step})
        save(tmp_path, step, log.sum())
    assert sorted(read) == 5 * ["best.safetensors"] + 5 * ["weights.safetensors"]


def test_a_log_of_another_process_writes_nothing(tmp_path: Path) -> None:
    log = StepLog(tmp_path / "log.jsonl", active=False)
    log.keep(0)
    log.write({"step": 1})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
@pytest.mark.parametrize("name", ["weights.safetensors", "best.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_refused_for_the_one_before_it(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    for step in (10, 20):
        save(tmp_path, step)
    damage(tmp_path / "checkpoint" / name)
    assert step_of(tmp_path) == 10
    save(tmp_path, 30)
    assert step_of(tmp_path) == 30
    damage(tmp_path / "checkpoint" / name)
    assert step_of(tmp_path) == 10, "the sound one was kept, not the damaged one after it"
    damage(tmp_path / "checkpoint.old" / name)
    assert step_of(tmp_path) is None


def test_a_log_that_does_not_begin_as_it_did_refuses_its_checkpoint(tmp_path: Path) -> None:
    log = StepLog(tmp_path / "log.jsonl", active=True)
    log.write({"step": 10})
    first = log.sum()
    save(tmp_path, 10, first)
    for step in (11, 20):
        log.write({"step": step})
    save(tmp_path, 20, log.sum())
    log.write({"step": 21})
    assert step_of(tmp_path) == 20, "what comes after it does not matter"
    lines = log.path.read_bytes()
    log.path.write_bytes(lines[:20] + b"\xff" + lines[21:])
    assert step_of(tmp_path) == 10
    log.keep(first.bytes)
    assert log.path.read_bytes() == lines.splitlines(keepends=True)[0]
    log.path.unlink()
    assert step_of(tmp_path) is None


def test_a_curve_is_the_score_of_each_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = StepLog(tmp_path / "log.jsonl", active=True)
    for step, value in ((2, 0.5), (4, math.nan), (6, 0.25)):
        log.write({"stage": "depth", "step": step, "lr": 0.1})
        log.write({"stage": "depth", "step": step, "val": {"abs_rel": value, "rmse": 1.0}, "best": False})
    curve = validation_curve(log.path, "abs_rel")
    assert curve[::2] == [(2, 0.5), (6, 0.25)]
    assert curve[1][0] == 4
    assert math.isnan(curve[1][1])
    assert validation_curve(log.path, "rmse") == [(2, 1.0), (4, 1.0), (6, 1.0)]
    for block in (1, 7, 64):  # lines that end beyond a block, and several in one
        monkeypatch.setattr(steplog, "BLOCK", block)
        assert validation_curve(log.path, "rmse") == [(2, 1.0), (4, 1.0), (6, 1.0)]
        assert b"".join(validation_lines(log.path)) == b"".join(log.path.read_bytes().splitlines(keepends=True)[1::2])
    with pytest.raises(UserError, match=r"log\.jsonl: is no log of a fit: KeyError: 'silog'; delete .* and run again"):
        validation_curve(log.path, "silog")


def test_weights_that_cannot_be_written_say_why(tmp_path: Path) -> None:
    """safetensors tells the system's error as text."""
    with pytest.raises(UserError, match="cannot be written: No such file or directory; see that its folder is there"):
        save_tensors(tmp_path / "gone" / "weights.safetensors", {"w": torch.ones(3)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(
            UserError, match=r"File too large; raise the limit of file sizes .* to 40,000 bytes or more"
        ):
            save_tensors(tmp_path / "weights.safetensors", {"w": torch.ones(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob("*.safetensors"))
