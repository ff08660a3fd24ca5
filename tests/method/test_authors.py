"""The network of the published settings beside one written out from the authors' description, at 228x304."""

import torch
import torch.nn.functional as F
import torchvision

from cliffkit.method.network import build_network
from cliffkit_backbones.timm_model import TimmModel
from cliffkit_fusions.cliff import Cliff
from cliffkit_heads.linear import Linear
from cliffkit_pyramids.fpn import FPN

CHANNELS = 16
SIZES = [(57, 76), (29, 38), (15, 19), (8, 10)]


def test_depth_and_gradients_are_the_authors_at_their_size():
    """Levels of 57x76 to 8x10, and no padding. The trunk's strides are in its 3x3 convolutions, as torchvision's."""
    torch.manual_seed(0)
    network = build_network(
        TimmModel(name="resnet50"), lambda c, strides: FPN(c, strides, channels=CHANNELS), Cliff, Linear
    )
    trunk = torchvision.models.resnet50(weights=None)
    trunk.load_state_dict(network.backbone.net.state_dict(), strict=False)
    image, depth = torch.rand(2, 3, 228, 304), torch.rand(2, 1, 228, 304)
    parts = [network.pyramid, network.fusions, network.head]

    def slopes(predicted, conv):
        objective = (predicted - depth).abs().mean()
        return torch.autograd.grad(objective, [conv.weight, *(p for part in parts for p in part.parameters())])

    ours = network(image)
    theirs, sizes = written_out(network, trunk, image)
    assert sizes == SIZES
    torch.testing.assert_close(ours, theirs)
    for own, their in zip(slopes(ours, network.backbone.net.conv1), slopes(theirs, trunk.conv1), strict=True):
        torch.testing.assert_close(own, their, rtol=1e-3, atol=1e-3 * float(their.abs().max()))


def written_out(network, trunk, image):
    """Depth by torch's own operations, and the sizes of the levels. Weights are those of `network` and `trunk`."""
    x = (image - network.backbone.mean) / network.backbone.std
    x = F.max_pool2d(F.relu(trunk.bn1(trunk.conv1(x))), 3, stride=2, padding=1)
    levels = []
    for stage in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
        x = stage(x)
        levels.append(x)

    pyramid, merged = network.pyramid, []
    for lateral, level in zip(reversed(pyramid.laterals), reversed(levels), strict=True):
        x = block(lateral, level)
        merged.insert(0, x + enlarged(merged[0], x) if merged else x)
    fine = [
        block(refine, block(smooth, x))
        for smooth, refine, x in zip(pyramid.smooth, pyramid.refine, merged, strict=True)
    ]

    high = fine[-1]
    for cliff, low in zip(reversed(network.fusions), reversed(fine[:-1]), strict=True):
        h = enlarged(high, low)
        b = block(cliff.mix_fine, torch.cat([low, low * h], dim=1))
        high = block(cliff.mix_coarse, torch.cat([h, b], dim=1)) + h
    x = block(network.head.mix, high)
    x = F.conv2d(x, network.head.metres.weight, network.head.metres.bias, padding=1)
    return enlarged(x, image), [tuple(level.shape[-2:]) for level in levels]


def block(layers, x):
    """Convolution, batch normalisation by the batch's own statistics, ReLU."""
    conv, norm, _ = layers
    x = F.conv2d(x, conv.weight, padding=conv.weight.shape[-1] // 2)
    return F.relu(F.batch_norm(x, None, None, norm.weight, norm.bias, training=True))


def enlarged(x, like):
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
