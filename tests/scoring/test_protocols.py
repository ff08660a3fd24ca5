from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cliffkit.components.registry import Component
from cliffkit.errors import UserError
from cliffkit.protocols import Crop, Protocol, View
from cliffkit.scoring.protocols import VALIDATION, build_protocol, is_short, spelled_out
from cliffkit.scoring.views import crop_mask, image_region, truth_in_view

from ..protocol_fixtures import PROTOCOLS, REGISTRY, protocol

SPECS = [name + suffix for name in PROTOCOLS for suffix in ("", "+flip", "+median", "+flip+median")]


def _bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def test_eigen_crop_is_the_published_one() -> None:
    assert _bounds(crop_mask(480, 640, PROTOCOLS["eigen"].crop)) == (45, 471, 41, 601)


def test_eigen_crop_scales_with_the_image() -> None:
    assert _bounds(crop_mask(960, 1280, PROTOCOLS["eigen"].crop)) == (90, 942, 82, 1202)
    assert _bounds(crop_mask(96, 128, PROTOCOLS["eigen"].crop)) == (9, 94, 8, 120)


def test_garg_crop_is_truncated_as_in_its_reference() -> None:
    expected = np.array([0.40810811 * 375, 0.99189189 * 375, 0.03594771 * 1242, 0.96405229 * 1242]).astype(np.int32)
    assert _bounds(crop_mask(375, 1242, PROTOCOLS["garg"].crop)) == tuple(expected) == (153, 371, 44, 1197)


@pytest.mark.parametrize("name", ["full", "hu", "cliffnet"])
def test_the_others_have_no_crop(name: str) -> None:
    assert PROTOCOLS[name].crop is None
    assert crop_mask(7, 5, None).all()


def test_cliffnet_crops_no_test_image() -> None:
    view = PROTOCOLS["cliffnet"].view
    assert image_region(480, 640, view) == (0, 0, 480, 640)
    assert (view.size, view.squeezed) == ((228, 304), True)
    assert (
        "whole image at 228x304, shown to the network at its training size, no crop" in PROTOCOLS["cliffnet"].describe()
    )


def test_a_view_that_is_not_squeezed_is_stored_as_before_there_were_squeezed_ones() -> None:
    assert PROTOCOLS["hu"].to_dict()["view"] == {"region": 0.95, "size": (228, 304)}
    for name in ("hu", "cliffnet"):
        assert Protocol.from_dict(json.loads(json.dumps(PROTOCOLS[name].to_dict()))) == PROTOCOLS[name]


def test_hu_has_a_view_of_the_centre_at_exactly_half_scale() -> None:
    view = PROTOCOLS["hu"].view
    assert image_region(480, 640, view) == (12, 16, 456, 608)
    rows, columns = np.mgrid[:480, :640]
    depth, valid = truth_in_view((rows * 1000 + columns).astype(np.float64), (rows + columns) % 3 == 0, view)
    assert depth.shape == valid.shape == (228, 304)
    assert np.array_equal(depth // 1000, np.broadcast_to(12 + 1 + 2 * np.arange(228)[:, None], (228, 304)))
    assert np.array_equal(depth % 1000, np.broadcast_to(16 + 1 + 2 * np.arange(304), (228, 304)))
    assert np.array_equal(valid, (depth // 1000 + depth % 1000) % 3 == 0)


def test_half_scale_then_centre_crop_as_hu_does_it_takes_the_same_pixels() -> None:
    depth = np.arange(480 * 640, dtype=np.float64).reshape(480, 640)
    theirs = depth[1::2, 1::2][6:234, 8:312]
    assert np.array_equal(truth_in_view(depth, depth >= 0, PROTOCOLS["hu"].view)[0], theirs)


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (97, 131), (1242, 375)])
def test_a_view_of_any_size_shows_true_pixels_of_its_region_in_order(shape: tuple[int, int]) -> None:
    view = PROTOCOLS["hu"].view
    depth = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    top, left, height, width = image_region(*shape, view)
    assert top >= 0
    assert left >= 0
    assert top + height <= shape[0]
    assert left + width <= shape[1]
    shown, _ = truth_in_view(depth, np.ones(shape, np.bool_), view)
    assert shown.shape == view.size
    assert np.isin(shown, depth[top : top + height, left : left + width]).all()
    assert (np.diff(shown, axis=0) >= 0).all()
    assert (np.diff(shown, axis=1) >= 0).all()


def test_the_whole_view_copies_nothing() -> None:
    depth = np.ones((5, 6), np.float32)
    shown, valid = truth_in_view(depth, depth > 0, View())
    assert shown.shape == valid.shape == (5, 6)
    assert np.shares_memory(shown, depth)


def test_truth_of_two_shapes_is_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        truth_in_view(np.ones((5, 6)), np.ones((5, 5), np.bool_), View())


@pytest.mark.parametrize("spec", SPECS)
def test_a_protocol_survives_json_whole(spec: str) -> None:
    ours = protocol(spec)
    back = Protocol.from_dict(json.loads(json.dumps(ours.to_dict())))
    assert back == ours
    assert back.to_dict() == ours.to_dict()
    assert hash(back) == hash(ours)


def test_a_stored_protocol_with_other_fields_is_refused() -> None:
    stored = PROTOCOLS["eigen"].to_dict()
    with pytest.raises(UserError, match=r"'eigen'.*unknown \['cap'\], missing \['flip'\]"):
        Protocol.from_dict({key: value for key, value in stored.items() if key != "flip"} | {"cap": 10})
    with pytest.raises(UserError, match="stored crop"):
        Protocol.from_dict(stored | {"crop": {"top": 0}})


@pytest.mark.parametrize("spec", SPECS)
def test_a_modifier_changes_its_field_and_the_name_only(spec: str) -> None:
    name, *modifiers = spec.split("+")
    ours, base = protocol(spec).to_dict(), PROTOCOLS[name].to_dict()
    assert ours["name"] == spec
    assert ours["flip"] == ("flip" in modifiers)
    assert ours["align"] == ("median" if "median" in modifiers else "none")
    assert {k: v for k, v in ours.items() if k not in ("name", "flip", "align")} == {
        k: v for k, v in base.items() if k not in ("name", "flip", "align")
    }


def test_equal_protocols_have_equal_names() -> None:
    assert protocol("full+median+flip") == protocol("full+flip+median")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "eigan",
            r"no protocol is called 'eigan'; did you mean 'eigen'\?; each takes \+flip, \+median, \+scale",
        ),
        (
            "",
            "no protocol is called ''; there are: cliffnet, eigen, full, garg, hu, kitti_eigen, kitti_improved;",
        ),
        (
            "eigen+flop",
            r"'eigen\+flop': no modifier is called 'flop'; did you mean 'flip'\? there are: flip, median, ",
        ),
        ("eigen+", "no modifier is called ''"),
        ("eigen+flip+flip", "repeats a modifier"),
    ],
)
def test_an_unknown_name_is_an_error_that_helps(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        protocol(spec)


@pytest.mark.parametrize("spec", SPECS)
def test_a_short_name_is_the_mapping_that_it_is_short_for(spec: str) -> None:
    mapping = spelled_out(spec, REGISTRY)
    assert protocol(mapping) == protocol(spec)
    assert is_short(spec, mapping["use"])


@pytest.mark.parametrize(
    ("changes", "name", "fields"),
    [
        ({"cap_m": 8}, "eigen+cap_m=8", {"max_depth_m": 8.0, "clamp_high_m": 8.0}),
        ({"cap_m": 10, "crop": True}, "eigen", {}),
        ({"crop": False, "cap_m": 8.5}, "eigen+cap_m=8.5+crop=false", {"crop": None, "clamp_high_m": 8.5}),
        ({"align": "median", "flip": True}, "eigen+flip+median", {"align": "median", "flip": True}),
        ({"flip": False}, "eigen", {}),
        ({"cap_m": 8, "flip": True}, "eigen+cap_m=8+flip", {"max_depth_m": 8.0, "flip": True}),
        ({"cap_m": 8, "flip": True, "name": "eigen8"}, "eigen8", {"max_depth_m": 8.0, "flip": True}),
    ],
)
def test_a_protocol_is_named_after_what_is_changed_of_it(
    changes: dict[str, Any], name: str, fields: dict[str, Any]
) -> None:
    ours, plain = protocol({"use": "eigen", **changes}), PROTOCOLS["eigen"]
    assert ours.name == name
    assert all(getattr(ours, field) == value for field, value in fields.items())
    assert fields or ours == plain
    assert is_short(name, "eigen") == (not {"cap_m", "crop", "name"} & set(changes) or name == "eigen")


def test_a_changed_protocol_is_credited_as_changed() -> None:
    told = protocol({"use": "eigen", "cap_m": 8}).describe()
    assert "; changed in cap_m=8, else as on NYU in BTS" in told
    assert "0.001 < d < 8 m" in told
    assert protocol("eigen+flip").source == PROTOCOLS["eigen"].source


STRANGE = """
from cliffkit.protocols import Protocol


def flipped(*, cap_m: float = 5.0) -> Protocol:
    return Protocol("flipped", "a test", max_depth_m=cap_m, flip=True, align="median")


def nonsense() -> str:
    return "eigen"
"""
NOTHING = {"name": None, "flip": None, "align": None, "align_over": None}


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Component]:
    """`strange(name)`: a protocol of a plugin that is written just now."""
    (tmp_path / "strange_protocols.py").write_text(STRANGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "strange_protocols", raising=False)
    return lambda name: Component("protocol", name, f"strange_protocols:{name}", "", "mine", "1")


def test_what_a_factory_says_of_flip_and_alignment_holds_until_a_recipe_says_otherwise(
    strange: Callable[[str], Component],
) -> None:
    ours = build_protocol(strange("flipped"), {"cap_m": 5.0}, NOTHING)
    assert (ours.name, ours.flip, ours.align) == ("flipped", True, "median")
    bare = build_protocol(strange("flipped"), {"cap_m": 4.0}, {**NOTHING, "flip": False, "align": "none"})
    assert (bare.name, bare.flip, bare.align) == ("flipped+cap_m=4+flip=false+align=none", False, "none")


def test_a_factory_that_gives_no_protocol_is_named_with_its_plugin(strange: Callable[[str], Component]) -> None:
    with pytest.raises(UserError, match="protocol 'nonsense' of plugin 'mine' gives str; it must give a cliffkit"):
        build_protocol(strange("nonsense"), {}, NOTHING)


@pytest.mark.parametrize("spec", SPECS)
def test_the_description_names_everything(spec: str) -> None:
    ours = protocol(spec)
    text = ours.describe()
    assert "\n" not in text
    assert text.startswith(f"{spec}: ")
    assert ours.source in text
    assert ("228x304" if ours.view.size else "native size") in text
    assert ("no crop" in text) == (ours.crop is None)
    assert ("no flip average" in text) == (not ours.flip)
    assert ("no alignment" in text) == (ours.align == "none")
    assert "mean over images" in text
    assert "clamped" in text


def test_descriptions_carry_the_numbers() -> None:
    eigen = PROTOCOLS["eigen"].describe()
    for part in ("rows 45:471 and columns 41:601 of 480x640", "0.001 < d < 10 m", "[0.001, 10] m", "NaN counts as"):
        assert part in eigen
    hu = PROTOCOLS["hu"].describe()
    for part in ("centre 95%", "not clamped", "rmse = sqrt(mean mse)", "delta <= 1.25^k", "d > 0 m"):
        assert part in hu
    assert "rows 0.40810811h:0.99189189h" in PROTOCOLS["garg"].describe()
    assert ">= 0.001 m" in PROTOCOLS["full"].describe()


@pytest.mark.parametrize(
    "wrong",
    [
        {"align": "mean"},
        {"averaging": "pixel"},
        {"view": View(region=0)},
        {"view": View(size=(0, 4))},
        {"min_depth_m": -1.0},
        {"floor_m": 0.0},
        {"replace_nonfinite": True},
    ],
)
def test_a_protocol_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match="protocol 'mine'"):
        Protocol("mine", "a test", **wrong)  # type: ignore[arg-type]


def test_bounds_that_leave_nothing_to_score_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"true depths from 0\.001 to 0\.001 m and predictions clamped to \[0\.001, 0\.001\]"
    ):
        protocol({"use": "eigen", "cap_m": 0.001})
    with pytest.raises(UserError, match=r"from 5 to any m and predictions clamped to \[any, 4\] m"):
        Protocol("mine", "a test", min_depth_m=5.0, clamp_high_m=4.0)


def test_the_validation_split_is_scored_as_full_does() -> None:
    assert PROTOCOLS["full"] == VALIDATION


def test_a_crop_in_pixels_of_its_own_frame_is_exact() -> None:
    for side in range(1, 2000, 7):
        rows, columns = Crop(0, side, side - 1, side, frame=(side, side)).slices(side, side)
        assert (rows, columns) == (slice(0, side), slice(side - 1, side))


def test_importing_protocols_and_metrics_imports_no_torch() -> None:
    modules = "cliffkit_protocols.eigen, cliffkit.scoring.protocols, cliffkit.scoring.scores, cliffkit.pictures.png"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
