"""timm's models and the hand-built encoder as backbones."""

import os

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch
import torch.nn.functional as F
import torchvision

from cliffkit_backbones import timm_model
from cliffkit_backbones.handbuilt import Handbuilt
from cliffkit_backbones.timm_model import TimmModel

FAMILIES = ["test_resnet", "test_convnext", "test_efficientnet", "test_byobnet", "test_nfnet", "test_vit", "test_vit3"]


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("test_resnet", [4, 8, 16, 32]),
        ("test_convnext", [4, 8, 16, 32]),
        ("test_efficientnet", [4, 8, 16, 32]),
        ("test_vit", [16, 16, 16, 16]),
        ("resnet50", [4, 8, 16, 32]),
        ("vit_small_patch14_dinov2", [14, 14, 14, 14]),
    ],
)
def test_levels_are_the_last_four(name, strides):
    with torch.device("meta"):
        backbone = TimmModel(name=name)
    assert list(backbone.strides) == strides
    assert list(backbone.channels) == {"resnet50": [256, 512, 1024, 2048]}.get(name, list(backbone.channels))


@pytest.mark.parametrize(
    ("name", "multiple"),
    [
        ("resnet50", 1),
        ("efficientnet_b0", 1),
        ("test_convnext", None),
        ("densenet121", None),
        ("swin_tiny_patch4_window7_224", None),
        ("test_vit", None),
    ],
)
def test_images_are_padded_for_models_that_do_not_take_every_size(name, multiple):
    """And weights start at the same numbers, whether or not a model takes every size."""
    torch.manual_seed(0)
    backbone = TimmModel(name=name)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    timm_model._create(name)
    assert torch.equal(drawn, torch.rand(3))
    assert backbone.multiple == multiple
    assert all(not tensor.is_meta for tensor in backbone.state_dict().values())


def test_channels_that_come_last_are_brought_first():
    """Swin's features are (B, H, W, C)."""
    with torch.device("meta"):
        backbone = TimmModel(name="swin_tiny_patch4_window7_224")
        levels = backbone(torch.rand(1, 3, 224, 224))
    assert [tuple(level.shape[1:]) for level in levels] == [(96, 56, 56), (192, 28, 28), (384, 14, 14), (768, 7, 7)]


@pytest.mark.parametrize(("name", "mean"), [("test_resnet", 0.5), ("test_byobnet", 0.485)])
def test_image_is_normalised_with_the_models_own_constants(name, mean):
    backbone = TimmModel(name=name).eval()
    assert backbone.mean[0].item() == pytest.approx(mean)
    config = backbone.net.pretrained_cfg
    image = torch.rand(1, 3, 64, 64)
    shift, scale = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    for level, expected in zip(backbone(image), backbone.net((image - shift) / scale), strict=True):
        torch.testing.assert_close(level, expected)
    assert not {"mean", "std"} & set(backbone.state_dict())


def test_a_model_that_cannot_leave_its_size_says_so():
    backbone = TimmModel(name="test_vit_relpos")
    assert len(backbone(torch.rand(1, 3, 160, 160))) == 4
    with pytest.raises(ValueError, match="'test_vit_relpos' does not take images of 32x48; it is made for 160x160"):
        backbone(torch.rand(1, 3, 32, 48))


def test_running_out_of_memory_is_not_taken_for_a_refused_size(monkeypatch):
    backbone = TimmModel(name="test_vit_relpos")

    def exhausted(image):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(backbone.net, "forward", exhausted)
    with pytest.raises(torch.OutOfMemoryError):
        backbone(torch.rand(1, 3, 32, 48))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5", "no model 'resnet5'; did you mean resnet50"),
        ("zzzz", "no model 'zzzz'; timm.list_models"),
        ("resnet18.nobodys", "no weights tagged 'nobodys'; there are: a1_in1k"),
        ("levit_128", "fewer than 4 levels"),
        ("crossvit_9_240", "whose strides divide the coarsest"),
    ],
)
def test_a_name_that_cannot_serve_is_refused(name, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        TimmModel(name=name)


def classifier(name, **options):
    torch.manual_seed(0)
    model = timm.create_model(name, **options).eval()
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_of_a_whole_classifier_give_its_own_features(name, tmp_path):
    model = classifier(name, num_classes=7)
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(model.state_dict(), path)
    backbone = TimmModel(name=name, weights=path).eval()
    image = torch.rand(1, 3, 160, 160)
    expected = model.forward_intermediates((image - backbone.mean) / backbone.std, intermediates_only=True)[-4:]
    for level, feature in zip(backbone(image), expected, strict=True):
        torch.testing.assert_close(level, feature)


def test_weights_of_a_training_checkpoint_are_read(tmp_path):
    model = classifier("test_resnet")
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "last.pth")
    backbone = TimmModel(name="test_resnet", weights=tmp_path / "last.pth")
    own = backbone.net.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in model.state_dict().items() if key in own)


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_that_leave_a_tensor_unset_are_refused(name, tmp_path):
    """Even one whose start is a constant that a comparison of values would take for loaded."""
    state = timm.create_model(name).state_dict()
    dropped = next(key for key in state if key.endswith(("norm1.bias", "bn1.bias", "norm.bias", "bn.bias", "gain")))
    del state[dropped]
    torch.save(state, tmp_path / "part.pt")
    with pytest.raises(ValueError, match=r"part\.pt sets only part of .* missing are \S+(bias|gain); give") as raised:
        TimmModel(name=name, weights=tmp_path / "part.pt")
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no tensors"),
        ({"conv1.0.weight": torch.zeros(1, 2, 3, 3)}, "does not hold weights of 'test_resnet'"),
        ({"unrelated": torch.zeros(1)}, "sets only part"),
    ],
)
def test_files_that_hold_something_else_are_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=message):
        TimmModel(name="test_resnet", weights=tmp_path / "other.pt")


def test_a_file_cannot_run_code(tmp_path):
    class Malice:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was_run"),)

    torch.save({"conv1.0.weight": Malice()}, tmp_path / "malice.pt")
    with pytest.raises(ValueError, match="does not hold weights"):
        TimmModel(name="test_resnet", weights=tmp_path / "malice.pt")
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("name", ["junk.pt", "junk.safetensors"])
def test_files_that_are_no_weights_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"not a tensor in sight")
    with pytest.raises(ValueError, match="does not hold weights"):
        TimmModel(name="test_resnet", weights=tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        TimmModel(name="test_resnet", weights=tmp_path / "nothing.pt")


def test_a_model_that_others_registered_in_timm_is_refused(monkeypatch):
    def stranger(pretrained=False, **options):
        return timm.create_model("test_resnet", **options)

    monkeypatch.setitem(timm.models._registry._model_entrypoints, "stranger", stranger)
    with pytest.raises(ValueError, match=f"'stranger' is a model that {__name__} has registered, so no key would know"):
        TimmModel(name="stranger")


def test_two_sources_of_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match="keep one"):
        TimmModel(name="test_resnet", pretrained=True, weights=tmp_path)


def test_pretrained_without_a_network_says_what_to_do(monkeypatch):
    monkeypatch.setattr(timm_model, "_online", lambda: False)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    with pytest.raises(
        ValueError,
        match=r"timm/test_resnet.r160_in1k, .* cannot be fetched; run this once where there is a network .* "
        "'pretrained: false' with 'weights: PATH'",
    ):
        TimmModel(name="test_resnet", pretrained=True)


def test_a_state_dict_of_torchvision_loads(tmp_path):
    theirs = torchvision.models.resnet18().state_dict()
    torch.save(theirs, tmp_path / "resnet18.pth")
    ours = TimmModel(name="resnet18", weights=tmp_path / "resnet18.pth").net.state_dict()
    assert ours
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_weights_that_are_on_this_machine_or_not_wanted_are_not_absent(monkeypatch, tmp_path):
    monkeypatch.setattr(timm_model, "_online", lambda: pytest.fail("asked for a network"))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    text = TimmModel.absent_weights({"name": "test_resnet", "pretrained": True})
    assert text is not None
    assert text.startswith("timm/test_resnet.r160_in1k, the weights of 'test_resnet', is not in the Hugging Face cache")
    assert TimmModel.absent_weights({"name": "test_resnet", "pretrained": False}) is None
    assert TimmModel.absent_weights({"name": "no_such_model", "pretrained": True}) is None  # a fault of its own
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(tmp_path))
    assert TimmModel.absent_weights({"name": "test_resnet", "pretrained": True}) is None


def test_pretrained_whose_download_breaks_off_names_the_cause(monkeypatch):
    def broken(*_, **__):
        raise ConnectionError("reset by peer")

    monkeypatch.setattr(timm_model, "_online", lambda: True)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(timm, "create_model", broken)
    with pytest.raises(ValueError, match="reset by peer"):
        TimmModel(name="test_resnet", pretrained=True)


def test_pretrained_from_the_cache_asks_no_network(monkeypatch, tmp_path):
    model = classifier("test_resnet")
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(model.state_dict(), path)

    def cached(repository, file):
        assert repository.startswith("timm/test_resnet")
        return str(path) if file == path.name else None

    monkeypatch.setattr(timm_model, "_online", lambda: pytest.fail("asked for a network"))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    backbone = TimmModel(name="test_resnet", pretrained=True)
    own = backbone.net.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in model.state_dict().items() if key in own)
    assert TimmModel(name="test_resnet", pretrained=True).fetched == backbone.fetched

    model.conv1[0].weight.data[0, 0, 0, 0] += 1e-3  # as where the same name is published again
    safetensors.torch.save_file(model.state_dict(), path)
    other = TimmModel(name="test_resnet", pretrained=True)
    assert list(other.fetched) == list(backbone.fetched) == ["weights of test_resnet"]
    assert other.fetched != backbone.fetched
    assert not TimmModel(name="test_resnet", weights=path).fetched, "their key knows them"


def test_pretrained_without_published_weights_is_refused():
    name = next(name for name in timm.list_models("resnet*") if not timm.get_pretrained_cfg(name).has_weights)
    with pytest.raises(ValueError, match=f"'{name}' has no published weights"):
        TimmModel(name=name, pretrained=True)


def test_handbuilt_is_four_strided_convolutions_with_laterals():
    torch.manual_seed(0)
    backbone = Handbuilt().eval()
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    image = torch.rand(1, 3, 48, 80)

    def layer(x, sequence, stride):
        conv, bn, _ = sequence
        x = F.conv2d(x, conv.weight, stride=stride, padding=1)
        return F.relu(F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias))

    x = 2 * image - 1
    for k, level in enumerate(backbone(image)):
        x = layer(x, backbone.encoder[k], 2)
        torch.testing.assert_close(level, layer(x, backbone.laterals[k], 1))
    assert (backbone.channels, backbone.strides) == ((16, 32, 32, 32), (2, 4, 8, 16))
