"""The depth network: wiring, sizes, counts."""

from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from cliffkit.errors import UserError
from cliffkit.interfaces import Backbone, Batch, Prediction, Sample
from cliffkit.method.assemble import build
from cliffkit.method.hierarchical import HierarchicalEmbeddingLoss
from cliffkit.method.network import build_network
from cliffkit.recipe.check import load_recipe
from cliffkit_backbones.handbuilt import Handbuilt
from cliffkit_backbones.timm_model import TimmModel
from cliffkit_embeddings.heg_r import HegR
from cliffkit_embeddings.heg_s import HegS
from cliffkit_fusions.add import Add
from cliffkit_fusions.cliff import Cliff
from cliffkit_fusions.concat import Concat
from cliffkit_heads.linear import Linear
from cliffkit_losses.berhu import BerHu
from cliffkit_losses.gradient import Gradient
from cliffkit_losses.l1 import L1
from cliffkit_losses.l2 import L2
from cliffkit_losses.silog import SILog
from cliffkit_losses.ssim import SSIM
from cliffkit_pyramids.dpt import DPT
from cliffkit_pyramids.fpn import FPN
from cliffkit_pyramids.simple import Simple
from cliffkit_pyramids.symmetric import Symmetric

ROOT = Path(__file__).parents[2]
SMALL_FPN = partial(FPN, channels=8)


def small(fusion=Cliff, pyramid=SMALL_FPN, backbone=Handbuilt):
    torch.manual_seed(0)
    network = build_network(backbone(), pyramid, fusion, Linear)
    for parameter in network.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def test_the_published_settings_have_the_published_number_of_parameters():
    """36,892,481 as published, less 3,072 biases that batch normalisation cancels."""
    with torch.device("meta"):
        network = build_network(TimmModel(name="resnet50"), FPN, Cliff, Linear)
    assert sum(p.numel() for p in network.parameters()) == 36_892_481 - 3_072 == 36_889_409


@pytest.mark.parametrize("fusion", [Add, Concat, Cliff, partial(Cliff, upsample="transposed")])
@pytest.mark.parametrize("pyramid", [SMALL_FPN, partial(Symmetric, channels=8)])
@pytest.mark.parametrize(
    "backbone", [Handbuilt, partial(TimmModel, name="test_resnet"), partial(TimmModel, name="test_vit")]
)
def test_parts_go_together_at_any_size(backbone, pyramid, fusion):
    network = small(fusion, pyramid, backbone)
    for size in ((57, 76), (33, 31)):
        depth = network(torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8))
        assert (depth.shape, depth.dtype) == ((2, 1, *size), torch.float32)
        assert depth.isfinite().all()


@pytest.mark.parametrize("pyramid", [DPT, Simple])
def test_a_transformers_levels_become_a_pyramid_at_any_size(pyramid):
    network = small(Cliff, partial(pyramid, channels=8), partial(TimmModel, name="test_vit"))
    fused = []
    network.head.register_forward_pre_hook(lambda head, inputs: fused.extend(inputs[0]))
    depth = network(torch.randint(0, 256, (2, 3, 57, 76), dtype=torch.uint8))
    assert (depth.shape, bool(depth.isfinite().all())) == ((2, 1, 57, 76), True)
    sizes = [tuple(level.shape[-2:]) for level in fused]
    assert sizes == [(16, 20), (8, 10), (4, 5), (2, 3)], "of an image that is padded to multiples of 16, 64x80"


def test_the_shipped_transformer_is_built_and_takes_its_images(registry):
    recipe = load_recipe(ROOT / "recipes/nyu/dpt_dinov2_none.yaml", registry, ["model.backbone.pretrained=false"])
    network = build(recipe).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 228, 304)).shape == (1, 1, 228, 304)
    frozen = sum(p.numel() for p in network.backbone.parameters())
    assert frozen == pytest.approx(22e6, rel=0.02), "as many as DINOv2's small transformer has"


class Swelling(FPN):
    """A pyramid whose levels are not as large as it says."""

    scales = (2, 1, 1, 1)


def test_a_pyramid_of_other_scales_than_it_says_is_named():
    with pytest.raises(UserError, match=r"pyramid gives features of shapes .* mend the pyramid"):
        small(pyramid=partial(Swelling, channels=8))(torch.rand(1, 3, 32, 32))


def test_the_chain_runs_from_coarse_to_fine_and_ends_in_the_head():
    network = small()
    image = torch.rand(2, 3, 48, 64)
    p = network.pyramid(network.backbone(image))
    x = network.fusions[2](p[2], p[3])
    x = network.fusions[1](p[1], x)
    x = network.fusions[0](p[0], x)
    conv, bn, _ = network.head.mix
    x = F.conv2d(x, conv.weight, padding=1)
    x = F.relu(F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias))
    x = F.conv2d(x, network.head.metres.weight, network.head.metres.bias, padding=1)
    expected = F.interpolate(x, size=(48, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(network(image), expected)


@pytest.mark.parametrize("fusion", [Add, Concat, Cliff])
@pytest.mark.parametrize("pyramid", [SMALL_FPN, partial(Symmetric, channels=8)])
def test_every_level_of_the_backbone_reaches_the_depth(pyramid, fusion):
    network = small(fusion, pyramid)
    levels = []

    def keep(module, arguments, output):
        levels.extend(level.retain_grad() or level for level in output)

    network.backbone.register_forward_hook(keep)
    network(torch.rand(1, 3, 48, 64)).sum().backward()
    assert len(levels) == 4
    assert all(level.grad.any() for level in levels)


def test_fusions_share_nothing():
    fusions = small().fusions
    assert len({id(p) for fusion in fusions for p in fusion.parameters()}) == 3 * len(list(fusions[0].parameters()))


def test_bytes_and_floats_of_one_image_are_one_image():
    network = small()
    image = torch.randint(0, 256, (1, 3, 48, 64), dtype=torch.uint8)
    assert torch.equal(network(image), network(image.float() / 255))


@pytest.mark.parametrize(
    ("backbone", "sizes"),
    [
        (Handbuilt, [(114, 152), (57, 76), (29, 38), (15, 19)]),
        (partial(TimmModel, name="test_resnet"), [(57, 76), (29, 38), (15, 19), (8, 10)]),
        (partial(TimmModel, name="test_convnext"), [(64, 80), (32, 40), (16, 20), (8, 10)]),
    ],
)
def test_an_image_is_padded_only_for_backbones_that_need_it(backbone, sizes):
    network = small(backbone=backbone)
    levels = []
    network.pyramid.register_forward_hook(lambda module, arguments, output: levels.extend(output))
    with torch.no_grad():
        assert network(torch.rand(1, 3, 228, 304)).shape == (1, 1, 228, 304)
    assert [tuple(level.shape[-2:]) for level in levels] == sizes


def test_an_odd_size_is_padded_with_its_edge_at_right_and_bottom():
    network = small(backbone=partial(TimmModel, name="test_vit"))
    image = torch.rand(1, 3, 45, 58)
    padded = F.pad(image, (0, 6, 0, 3), mode="replicate")
    assert torch.equal(network(image), network(padded)[..., :45, :58])


def test_metres_are_not_rounded_to_bf16_under_autocast():
    network = small()
    metres = []
    network.head.metres.register_forward_hook(lambda module, arguments, output: metres.append(output))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(torch.rand(1, 3, 48, 64)).dtype == torch.float32
    assert not torch.equal(metres[0], metres[0].bfloat16())


def test_a_backbone_of_one_level_is_refused():
    class Flat(Backbone):
        channels, strides = (3,), (1,)

        def forward(self, image):
            return [image]

    with pytest.raises(ValueError, match="Flat gives 1 level of features"):
        build_network(Flat(), FPN, Add, Linear)


def test_network_losses_and_embeddings_stay_on_a_gpu():
    """On fake tensors: no device is needed, and one tensor on another device raises."""
    with FakeTensorMode(), torch.device("cuda"):
        network = build_network(Handbuilt(), SMALL_FPN, Cliff, Linear)
        image = torch.empty(2, 3, 45, 58, dtype=torch.uint8)
        mask = torch.empty(2, 1, 45, 58, dtype=torch.bool)
        batch = Batch.of(Sample(image, torch.empty(2, 1, 45, 58), mask, torch.empty(2, dtype=torch.int64)))
        depth = network(image)
        terms = [loss(depth, batch) for loss in (L1(), L2(), BerHu(), SILog(), Gradient(), SSIM())]
        terms += [HierarchicalEmbeddingLoss(heg, (10, 15))(depth, batch, 1) for heg in (HegS(3), HegR(0))]
        terms += [heg.objective(batch) for heg in (HegS(3), HegR(0))]
    assert depth.device.type == "cuda"
    assert all(term.device.type == "cuda" and term.dtype == torch.float32 for term in terms)


@pytest.mark.parametrize("kind", ["backbone", "pyramid", "fusion", "head"])
def test_a_part_whose_output_has_the_wrong_shape_is_named(kind):
    """Untold, a fusion that halves its map would train: the head and the loss take any size."""

    def shrunk(part, arguments, output):
        if isinstance(output, list):
            return [*output[:-1], output[-1][..., 1:]]
        return type(output)(output.depth[..., 1:]) if kind == "head" else output[..., 1:]

    givers = {name: f"{name} 'x' of plugin 'y'" for name in ("backbone", "pyramid", "fusion", "head")}
    network = build_network(Handbuilt(), SMALL_FPN, Cliff, Linear, givers).eval()
    part = network.fusions[1] if kind == "fusion" else getattr(network, kind)
    part.register_forward_hook(shrunk)
    with pytest.raises(UserError, match=rf"{kind} 'x' of plugin 'y' gives features of shapes .*check_{kind}`"):
        network(torch.rand(1, 3, 48, 64))


def test_what_a_head_gives_beside_depth_comes_at_the_size_of_the_image():
    class Sure(Linear):
        gives = ("log_variance", "centres")

        def forward(self, fused):
            depth = super().forward(fused).depth
            return Prediction(depth, {"log_variance": 2 * depth[..., ::2, ::2], "centres": depth[:, 0, 0, :3]})

    network = build_network(Handbuilt(), SMALL_FPN, Cliff, Sure).eval()
    depth, extras = network.predict(torch.rand(2, 3, 45, 58))
    assert depth.shape == extras["log_variance"].shape == (2, 1, 45, 58)
    assert extras["centres"].shape == (2, 3)
