"""Starting from other weights: all of them, or an error that lists what differs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

from cliffkit.errors import UserError
from cliffkit.training.start import start_from
from cliffkit.training.tensors import save_tensors, weights_of


def net(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width))


def test_weights_and_running_statistics_are_loaded_and_known_by_the_hash_of_their_file(tmp_path: Path) -> None:
    other, own, path = net(), net(), tmp_path / "weights.safetensors"
    other(torch.randn(2, 3, 8, 8))
    save_tensors(path, weights_of(other))
    assert start_from(own, path, "train.depth.init") == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(torch.equal(value, weights_of(other)[name]) for name, value in weights_of(own).items())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (net(5), r"0\.bias is 5 instead of 4, 0\.weight is 5x3x3x3 instead of 4x3x3x3, .*1\.weight is 5 instead of 4;"),
        (net()[:1], r"another network: 1\.bias is missing, 1\.num_batches_tracked is missing, .*; start from a run"),
        (nn.ModuleList([*net(), nn.Linear(1, 1)]), r"another network: 2\.bias has no place, 2\.weight has no place;"),
        (
            nn.ModuleList([*net(), *net(5), *net(6)]),
            r"3\.running_mean has no place, 3\.running_var has no place, and 8 more;",
        ),
    ],
    ids=["shapes", "too few", "too many", "far too many"],
)
def test_weights_of_another_network_are_refused_with_a_list_and_nothing_is_loaded(
    tmp_path: Path, other: nn.Module, message: str
) -> None:
    own, path = net(), tmp_path / "weights.safetensors"
    before = {name: value.clone() for name, value in weights_of(own).items()}
    save_tensors(path, weights_of(other))
    with pytest.raises(UserError, match=f"train.depth.init: the weights in .*{message}"):
        start_from(own, path, "train.depth.init")
    assert all(torch.equal(value, before[name]) for name, value in weights_of(own).items())


def test_a_file_that_is_missing_or_holds_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.depth\.init: .*none\.safetensors cannot be read: No such file"):
        start_from(net(), tmp_path / "none.safetensors", "train.depth.init")
    (tmp_path / "weights.pth").write_bytes(b"\x80\x02}q\x00." * 9)
    with pytest.raises(UserError, match=r"weights\.pth holds no weights: .*; give a file in the format of safetensors"):
        start_from(net(), tmp_path / "weights.pth", "train.depth.init")
