from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from cliffkit.prediction.packed import packed


class Doubled(nn.Conv2d):
    def forward(self, image: Tensor) -> Tensor:
        return 2 * super().forward(image)


def _network(kind: type[nn.Conv2d] = nn.Conv2d) -> nn.Sequential:
    torch.manual_seed(0)
    grouped = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4, bias=False)
    return nn.Sequential(kind(3, 8, 3, stride=2, padding=1), nn.ReLU(), grouped, nn.Conv2d(8, 1, 1)).eval()


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_packed_weights_give_the_same_depth_to_rounding_for_every_size(layout: torch.memory_format) -> None:
    network = _network().to(memory_format=layout)
    sizes = ((160, 170), (160, 170), (21, 34))
    images = [torch.rand(1, 3, *size).contiguous(memory_format=layout) for size in sizes]
    images.append(torch.rand(3, 3, 40, 50))
    with torch.inference_mode():
        plain = [network(image) for image in images]
        with packed(network):
            assert all("forward" in vars(module) for module in network if isinstance(module, nn.Conv2d))
            for image, depth in zip(images, plain, strict=True):
                torch.testing.assert_close(network(image), depth, rtol=1e-6, atol=1e-7)


def test_a_backbone_of_many_kinds_of_convolutions_has_the_same_features() -> None:
    backbone = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    image = torch.rand(1, 3, 96, 128)
    with torch.inference_mode():
        plain = backbone(image)
        with packed(backbone):
            for level, other in zip(backbone(image), plain, strict=True):
                torch.testing.assert_close(level, other, rtol=1e-4, atol=1e-5)


def test_a_network_is_as_before_afterwards() -> None:
    network = _network()
    with pytest.raises(KeyError), packed(network):
        raise KeyError
    assert not any("forward" in vars(module) for module in network)
    with packed(network), packed(network):
        pass
    assert not any("forward" in vars(module) for module in network)


def test_gradients_other_types_and_other_classes_take_the_usual_way() -> None:
    network, image = _network(Doubled), torch.rand(1, 3, 16, 24)
    plain = network(image)
    with packed(network):
        assert "forward" not in vars(network[0])
        network(image).sum().backward()
        with torch.no_grad():
            torch.testing.assert_close(network(image), plain, rtol=1e-5, atol=1e-6)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert network(image).dtype == torch.bfloat16
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_weights_are_laid_out_once_and_not_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    network, image, calls = _network()[:3], torch.rand(1, 3, 160, 160), []  # so large that torch takes oneDNN
    reorder = torch.ops.mkldnn._reorder_convolution_weight

    def count(*arguments: object) -> Tensor:
        calls.append(arguments)
        return reorder(*arguments)

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_convolution_weight", count)
    with packed(network), torch.inference_mode():
        for _ in range(3):
            network(image)
    assert len(calls) == 2, "once for each convolution"
