"""The wrapper keeps the contract, and gives the depth that the model's disparity means."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cliffkit.testing import check_network
from safetensors.torch import save_file

from cliffkit_foreign.network import UNetDepth
from cliffkit_foreign.unet import MEAN, STD, UNet


def test_keeps_the_contract() -> None:
    check_network(UNetDepth, width=2)


def test_depth_is_what_the_models_disparity_means() -> None:
    network = UNetDepth(width=2, nearest_m=1.0, farthest_m=5.0).eval()
    image = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        depth = network(image).depth
        normalised = torch.stack([(image[:, k] - MEAN[k]) / STD[k] for k in range(3)], dim=1)
        disparity = network.net(normalised)[:, None]
    torch.testing.assert_close(1 / depth, 0.2 + 0.8 * disparity)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_weights_of_both_formats_are_loaded(name: str, tmp_path: Path) -> None:
    trained = UNet(2)
    state = {f"module.{key}": value.contiguous() for key, value in trained.state_dict().items()}
    if name.endswith(".pt"):
        torch.save({"model": state, "epoch": 3}, tmp_path / name)
    else:
        save_file(state, tmp_path / name)
    loaded = UNetDepth(width=2, weights=tmp_path / name).net.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in trained.state_dict().items())


def test_the_plugin_imports_no_torch() -> None:
    code = "import sys, cliffkit_foreign; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
