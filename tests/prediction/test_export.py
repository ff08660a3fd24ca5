"""A whole prediction in one file, held against `predict`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import cliffkit
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.interfaces import Backbone, Prediction
from cliffkit.method.network import DepthNetwork, build_network
from cliffkit.prediction.export import TOLERANCE, write_export
from cliffkit.prediction.formats import FORMATS, OnnxFormat
from cliffkit.prediction.graph import antialiased
from cliffkit.prediction.predictor import Predictor
from cliffkit.store.artifacts import ExportFacts
from cliffkit_backbones.handbuilt import Handbuilt
from cliffkit_fusions.add import Add
from cliffkit_heads.linear import Linear
from cliffkit_pyramids.symmetric import Symmetric

from ..conftest import Finished, Invoke

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "export.md"

OPTIONS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("backbone", "timm"): [{"name": "test_resnet"}, {"name": "test_vit"}],
    ("fusion", "cliff"): [{}, {"upsample": "transposed"}],
    ("pyramid", "fpn"): [{"channels": 8}],
    ("pyramid", "symmetric"): [{"channels": 8}],
    ("pyramid", "dpt"): [{"channels": 8}],
    ("pyramid", "simple"): [{"channels": 8}],
}
"""Options under which built-in parts are tried; any other part is tried as it is."""


OF_TRANSFORMERS = ("dpt", "simple")
"""Pyramids for levels of one stride."""


def settled(network: DepthNetwork) -> DepthNetwork:
    """A network whose normalisations have seen something, in evaluation mode."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def predictor(
    backbone: Backbone | None = None, pyramid: Any = Symmetric, fusion: Any = Add, head: Any = Linear, giver: str = ""
) -> Predictor:
    torch.manual_seed(0)
    givers = {"fusion": giver}
    network = build_network(
        backbone or Handbuilt(), lambda channels, strides: pyramid(channels, strides, channels=8), fusion, head, givers
    )
    return Predictor(settled(network), (32, 48), 0.9, torch.device("cpu"))


def built_in(registry: Registry, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """The parts of a kind that come with cliffkit, with the options under which they are tried."""
    names = [part.name for part in registry if part.kind == kind and part.distribution in ("", "cliffkit")]
    return [(name, options) for name in names for options in OPTIONS.get((kind, name), [{}])]


def networks(registry: Registry) -> Iterator[tuple[str, Predictor]]:
    """Networks in which each part stands at least once."""
    kinds = {kind: built_in(registry, kind) for kind in ("backbone", "pyramid", "fusion", "head")}
    for i in range(max(map(len, kinds.values()))):
        chosen = {kind: parts[i % len(parts)] for kind, parts in kinds.items()}
        if chosen["pyramid"][0] in OF_TRANSFORMERS:
            chosen["backbone"] = "timm", {"name": "test_vit"}

        def factory(kind: str, chosen: Any = chosen) -> Any:
            name, options = chosen[kind]
            load = registry.get(kind, name).load()
            return lambda *wired: load(*wired, **options)

        torch.manual_seed(i)
        network = build_network(factory("backbone")(), *map(factory, ("pyramid", "fusion", "head")))
        words = ", ".join(f"{kind} {name} {options}" for kind, (name, options) in chosen.items())
        yield words, Predictor(settled(network), (32, 48), 0.9, torch.device("cpu"))


NETWORKS = 4
"""As many as the kind with the most parts has."""


@pytest.mark.parametrize("number", range(NETWORKS))
def test_every_built_in_part_is_exported_to_onnx_and_equals_predict(
    number: int, registry: Registry, tmp_path: Path
) -> None:
    words, predict = next(islice(networks(registry), number, None))
    exported = write_export(predict, OnnxFormat(), tmp_path / "file")
    assert list(exported.axes.values()) == ["batch", "height", "width"], words
    assert exported.parity.difference < TOLERANCE / 10, words
    assert len(exported.parity.shapes) == 5


def test_the_networks_of_these_tests_hold_every_part(registry: Registry) -> None:
    most = max(len(built_in(registry, kind)) for kind in ("backbone", "pyramid", "fusion", "head"))
    assert most == NETWORKS


@pytest.mark.parametrize(("length", "target"), [(480, 228), (48, 32), (37, 53), (1, 8), (8, 1), (32, 32)])
def test_an_axis_is_resized_as_torch_does(length: int, target: int) -> None:
    values = torch.rand(1, 1, length, 3) * 255
    expected = F.interpolate(values, (target, 3), mode="bilinear", antialias=True)
    torch.testing.assert_close(antialiased(length, target) @ values, expected, rtol=1e-6, atol=2e-4)


class Wilful(Add):
    """A fusion that does one thing or another by what it sees."""

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return super().forward(fine, coarse) if fine.mean() > 0 else fine


class Noisy(Linear):
    """A head that gives other metres every time."""

    def forward(self, fused: list[Tensor]) -> Prediction:
        depth = super().forward(fused).depth
        return Prediction(depth + torch.rand_like(depth))


class Single(Add):
    """A fusion that takes one image at a time."""

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return torch.stack([super().forward(fine[:1], coarse[:1])[0]] * int(fine.shape[0]))


def test_a_part_that_cannot_be_exported_is_named_with_the_reason(tmp_path: Path) -> None:
    predict = predictor(fusion=Wilful, giver="fusion 'wilful' of plugin 'lab'")
    with pytest.raises(UserError, match=r"^fusion 'wilful' of plugin 'lab' cannot be exported: .*; mend it"):
        write_export(predict, FORMATS["torch"](), tmp_path / "file")


def test_a_file_that_differs_from_predict_is_refused_with_the_difference(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be exported: its depth of an image of \d+x\d+ differs .* by 0\.\d+ m"):
        write_export(predictor(head=Noisy), FORMATS["torch"](), tmp_path / "file")


def test_a_part_that_fixes_the_batch_leaves_height_and_width_free(tmp_path: Path) -> None:
    exported = write_export(predictor(fusion=Single), FORMATS["torch"](), tmp_path / "file")
    assert list(exported.axes.values()) == ["height", "width"]
    assert "batch" in exported.reason
    assert all(shape[0] == 1 for shape in exported.parity.shapes)


def test_images_may_be_float_and_of_one_size(tmp_path: Path) -> None:
    predict, form = predictor(), FORMATS["torch"]()
    exported = write_export(predict, form, tmp_path / "file", "float32", (40, 60))
    assert (exported.axes, exported.size, exported.reason) == ({}, (40, 60), "as asked for")
    levels = torch.randint(0, 256, (1, 3, 40, 60), dtype=torch.uint8)
    np.testing.assert_allclose(form.load(tmp_path / "file")(levels / 255), predict.batch(levels), rtol=1e-4)


def test_without_its_libraries_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"needs onnxscript; install it with: pip install 'cliffkit\[onnx\]'"):
        OnnxFormat()


def test_export_of_a_run_writes_facts_and_a_file_that_runs_as_the_page_says(
    finished: Finished, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new" / "depth.onnx"
    result = invoke("export", finished.folder, "-o", file, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    facts = ExportFacts.read_file(tmp_path / "new" / "depth.onnx.json")
    assert told == json.loads(json.dumps({"file": str(file), **facts.to_dict()}))
    assert (facts.run, facts.free, facts.size) == ("tiny", ("batch", "height", "width"), None)
    assert 0 <= facts.difference <= facts.tolerance
    assert sorted(path.name for path in file.parent.iterdir()) == ["depth.onnx", "depth.onnx.json"]

    monkeypatch.chdir(file.parent)
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(image).save("photo.jpg", format="png")  # as it is, to the bit
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    said: dict[str, Any] = {}
    exec("\n".join(code), said)
    expected = cliffkit.load_run(finished.folder, device="cpu").predictor()(image)
    np.testing.assert_allclose(said["depth_m"][0], expected, rtol=1e-3, atol=1e-3)


def test_a_file_of_others_is_not_written_over_without_force(finished: Finished, invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "depth.pt2"
    file.write_text("mine")
    arguments = ("export", finished.folder, "--to", "torch", "-o", file, "--size", "40x60")
    refused = invoke(*arguments)
    assert refused.exit_code == 2
    assert "was not written by `cliffkit export`" in refused.stderr
    assert file.read_text() == "mine"

    shown = invoke(*arguments, "--force").stdout
    assert "takes:   image, (1, 3, 40, 60) uint8 RGB; no axis is free; others are fixed: as asked for" in shown
    assert "predict: differs by" in shown
    again = cliffkit.export(finished.folder, file, to="torch", image="float32", size=(40, 60))
    assert again.facts.image == "float32", "its own file it writes over"
    assert again.facts_file.exists()


def test_no_file_is_left_of_an_export_that_is_refused(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cliffkit.prediction.export.TOLERANCE", -1.0)
    with pytest.raises(UserError, match="differs from that of `predict`"):
        cliffkit.export(finished.folder, tmp_path / "depth.pt2", to="torch", size=(32, 48))
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_is_none_is_refused(finished: Finished, invoke: Invoke) -> None:
    for size in ("480", "0x5", "ax5"):
        assert f"'{size}' is no size" in invoke("export", finished.folder, "--size", size).stderr
    with pytest.raises(UserError, match="size: 0x5 is no size"):
        cliffkit.export(finished.folder, size=(0, 5))
