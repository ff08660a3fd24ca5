from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from PIL import Image

from cliffkit.errors import UserError
from cliffkit.pictures import png
from cliffkit.pictures.colours import (
    DEPTH_COLOURS,
    NO_DEPTH_GREY,
    colour_map,
    coloured,
    enlarged,
    masked,
    sparse_note,
    spot_of,
)
from cliffkit.pictures.painted import painted
from cliffkit.pictures.panel import PanelRow, panel
from cliffkit.pictures.png import depth_colour_png, save_depth_png16
from cliffkit.pictures.progress import GAP, WIDEST, progress_picture
from cliffkit_protocols.eigen import eigen


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.array(image)


def _depth(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 9, shape).astype(np.float32)


def _row(name: str, shape: tuple[int, int], abs_rel: float | None = 0.1) -> PanelRow:
    truth = _depth(shape)
    truth[: shape[0] // 3] = np.nan
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    return PanelRow(name, image, truth, _depth(shape, 2), abs_rel)


def test_16_bit_millimetres_come_back_to_half_a_millimetre(tmp_path: Path) -> None:
    depth = np.random.default_rng(0).uniform(0, 65.535, (50, 61)).astype(np.float32)
    save_depth_png16(tmp_path / "job.tmp", depth)
    stored = _read(tmp_path / "job.tmp")
    assert stored.dtype == np.uint16
    assert stored.shape == depth.shape
    assert np.abs(stored / 1000 - depth).max() <= 0.0005 + 1e-6


def test_16_bit_limits(tmp_path: Path) -> None:
    save_depth_png16(tmp_path / "d", np.array([[np.nan, np.inf, -np.inf, -1, 0, 0.0004, 0.0006, 65.535, 70, 1e38]]))
    assert _read(tmp_path / "d").tolist() == [[0, 0, 0, 0, 0, 0, 1, 65535, 65535, 65535]]


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (480, 640), (300, 20)])
def test_the_colours_are_exact_at_the_depths_own_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    depth = _depth(shape)
    depth_colour_png(tmp_path / "colour.part", painted(depth, vmin=1, vmax=8))
    stored = _read(tmp_path / "colour.part")
    assert stored.dtype == np.uint8
    assert stored.shape[0] > shape[0]
    assert stored.shape[1] >= shape[1]
    expected = matplotlib.colormaps[DEPTH_COLOURS](np.clip((depth.astype(np.float64) - 1) / 7, 0, 1), bytes=True)
    difference = np.abs(stored[: shape[0], : shape[1]].astype(int) - expected[..., :3])
    assert difference.max() <= 3  # a neighbouring entry of the 256 colours at most
    assert (difference.max(-1) == 0).mean() > 0.99


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_the_colours_are_those_that_matplotlib_gives(kind: type[np.floating[Any]]) -> None:
    depth = _depth((90, 110)).astype(kind)
    depth[4:9, 5:50], depth[0, 0], depth[1, 1] = np.nan, np.inf, -np.inf
    least, most = np.nanmin(depth[2:]), np.nanmax(depth[2:])
    for norm in (Normalize(2, 4), Normalize(float(least), float(most))):
        expected = colour_map(DEPTH_COLOURS)(norm(masked(depth)), bytes=True)
        assert np.array_equal(coloured(depth, norm), expected[..., :3])


def test_a_processor_without_isa_l_writes_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depth = painted(_depth((70, 300)))
    depth_colour_png(tmp_path / "isal", depth)
    monkeypatch.setattr(png, "compress", zlib.compress)
    depth_colour_png(tmp_path / "zlib", depth)
    assert np.array_equal(_read(tmp_path / "isal"), _read(tmp_path / "zlib"))


def test_the_scale_below_shows_its_colours_and_labels(tmp_path: Path) -> None:
    depth_colour_png(tmp_path / "c", painted(np.tile(np.linspace(1, 5, 640), (10, 1))))
    strip = _read(tmp_path / "c")[10:]
    colours = {tuple(pixel) for pixel in strip.reshape(-1, 3)}
    ramp = matplotlib.colormaps[DEPTH_COLOURS](np.arange(256), bytes=True)[:, :3]
    assert sum(tuple(colour) in colours for colour in ramp) > 250
    assert (0, 0, 0) in colours


def test_what_has_no_depth_is_grey_and_said_to_be(tmp_path: Path) -> None:
    depth = _depth((20, 400))
    whole, holed = tmp_path / "whole", tmp_path / "holed"
    depth_colour_png(whole, painted(depth, 0, 9))
    depth[3:9, 5:50] = np.nan
    depth[10, 10] = np.inf
    depth_colour_png(holed, painted(depth, 0, 9))
    grey = (_read(holed) == 158).all(-1)
    assert np.array_equal(grey[:20], ~np.isfinite(depth))
    assert grey[20:].any()
    assert not (_read(whole) == 158).all(-1).any()


def test_a_scale_that_cuts_is_pointed(tmp_path: Path) -> None:
    depth = np.tile(np.linspace(1, 5, 640), (10, 1))
    depth_colour_png(tmp_path / "all", painted(depth))
    depth_colour_png(tmp_path / "cut", painted(depth, vmin=2, vmax=4))
    inked = [np.flatnonzero((_read(tmp_path / name)[10:35] != 255).any((0, 2))) for name in ("all", "cut")]
    assert inked[1][0] < inked[0][0]
    assert inked[1][-1] > inked[0][-1]


@pytest.mark.parametrize(
    ("values", "vmin", "vmax"),
    [
        (np.nan, None, None),
        (3.0, None, None),
        (3.0, None, 2.0),
        (3.0, 4.0, None),
        (-3.0, None, -4.0),
        (np.nan, 5.0, None),
    ],
)
def test_depths_without_extent_make_a_picture(
    tmp_path: Path, values: float, vmin: float | None, vmax: float | None
) -> None:
    depth_colour_png(tmp_path / "c", painted(np.full((5, 5), values), vmin, vmax))
    assert _read(tmp_path / "c").shape[2] == 3


def test_colour_of_nonsense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="vmin < vmax"):
        painted(np.ones((5, 5)), 3, 3)
    with pytest.raises(ValueError, match="no map"):
        painted(np.ones((5, 5, 1)))
    with pytest.raises(ValueError, match="no map"):
        save_depth_png16(tmp_path / "c", np.ones((0, 5)))


def test_a_panel_of_rows_of_different_sizes(tmp_path: Path) -> None:
    rows = [_row("a $cost$ of_names " * 5, (48, 64)), _row("b", (37, 124), None), _row("c", (60, 30))]
    panel(tmp_path / "panel.tmp", rows, "run $1 of $2", eigen().describe())
    three = _read(tmp_path / "panel.tmp")
    assert min(three.shape[:2]) > 400
    panel(tmp_path / "panel.tmp", rows[:1], "run")
    one = _read(tmp_path / "panel.tmp")
    assert one.shape[1] == three.shape[1]
    assert one.shape[0] < three.shape[0]


def test_truth_and_prediction_share_one_scale_over_all_rows(tmp_path: Path) -> None:
    near, far = np.full((40, 40), 1.0), np.full((40, 40), 9.0)
    image = np.zeros((40, 40, 3), np.uint8)
    panel(tmp_path / "p", [PanelRow("near", image, near, far, 8.0), PanelRow("far", image, far, near, 0.9)], "run")
    picture = _read(tmp_path / "p")[..., :3]
    rows = [int(picture.shape[0] * 0.3), int(picture.shape[0] * 0.7)]
    truth, prediction, error = (int(picture.shape[1] * x) for x in (0.375, 0.625, 0.875))
    assert np.array_equal(picture[rows[0], truth], picture[rows[1], prediction])
    assert np.array_equal(picture[rows[1], truth], picture[rows[0], prediction])
    assert not np.array_equal(picture[rows[0], truth], picture[rows[0], prediction])
    assert not np.array_equal(picture[rows[0], error], picture[rows[1], error]), "8 m off at 1 m is worse than at 9 m"


def test_depths_of_very_different_range_are_coloured_by_their_logarithm(tmp_path: Path) -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    steps = [np.full((40, 40), depth) for depth in (1.0, 4.0, 16.0)]
    rows = [PanelRow("in between", image, steps[1], steps[1], 0.0), PanelRow("ends", image, steps[0], steps[2], 15.0)]
    panel(tmp_path / "wide", rows, "run")
    picture = _read(tmp_path / "wide")[..., :3]
    between = picture[int(picture.shape[0] * 0.3), int(picture.shape[1] * 0.375)]
    middle = np.array(matplotlib.colormaps["viridis"](0.5)[:3]) * 255
    assert np.abs(between - middle).max() < 6, "4 m is halfway from 1 m to 16 m"


def test_predictions_of_nearly_nothing_take_no_colours_from_the_truth(tmp_path: Path) -> None:
    """As networks predict that have hardly been trained, once they are clamped."""
    image, truth = np.zeros((40, 40, 3), np.uint8), np.linspace(1, 4, 1600).reshape(40, 40)
    seen = []
    for least in (1.0, 0.001):
        prediction = np.where(truth < 2, least, truth)
        panel(tmp_path / "p", [PanelRow("x", image, truth, prediction, 0.5)], "run")
        picture = _read(tmp_path / "p")[..., :3]
        seen.append(picture[int(picture.shape[0] * 0.2) : int(picture.shape[0] * 0.7), int(picture.shape[1] * 0.375)])
    assert np.array_equal(*seen)


@pytest.mark.parametrize(
    ("share", "width", "side"),
    [(1, 640, 1), (0.6, 640, 1), (0.2, 640, 3), (0.05, 640, 5), (0.001, 640, 9), (0.001, 60, 1), (0, 640, 1)],
)
def test_the_sparser_a_map_the_larger_are_its_pixels_drawn(share: float, width: int, side: int) -> None:
    truth = np.full((100, width), np.nan)
    truth.ravel()[np.linspace(0, truth.size - 1, round(share * truth.size)).astype(int)] = 1.0
    assert spot_of(truth) == side
    assert bool(sparse_note(truth)) == (side > 1)
    assert np.isfinite(enlarged(truth, truth)).mean() >= share


def test_an_enlarged_pixel_takes_no_place_of_another() -> None:
    truth = np.full((300, 700), np.nan)
    truth[100, 100], truth[100, 102], truth[200, 400] = 1, 2, 3
    drawn = enlarged(truth, truth)
    assert drawn[100, 96:101].tolist() == [1] * 5
    assert drawn[100, 102:107].tolist() == [2] * 5
    assert np.unique(drawn[np.isfinite(drawn)]).tolist() == [1, 2, 3]
    assert np.array_equal(enlarged(10 * truth, truth)[195:206, 395:406], 10 * drawn[195:206, 395:406], equal_nan=True)


def test_the_pixels_of_a_sparse_truth_are_seen_in_a_panel(tmp_path: Path) -> None:
    truth = np.full((480, 640), np.nan, np.float32)
    truth[5::24, 5::24] = 2
    image = np.zeros((480, 640, 3), np.uint8)
    panel(tmp_path / "p", [PanelRow("sparse", image, truth, np.full((480, 640), 3, np.float32), 0.5)], "run")
    drawn = _read(tmp_path / "p")[..., :3]
    columns = slice(drawn.shape[1] // 4 + 40, drawn.shape[1] // 2 - 40)
    part = drawn[130:400, columns].reshape(-1, 3)
    coloured = np.ptp(part.astype(int), axis=1) > 40  # neither grey, nor white, nor black
    assert 0.08 < coloured.mean() < 0.5, "1 of 576 pixels is known"


def test_a_panel_without_any_truth_is_drawn(tmp_path: Path) -> None:
    nothing = np.full((8, 8), np.nan)
    nothing[0, 0] = np.inf
    panel(tmp_path / "p", [PanelRow("x", np.zeros((8, 8, 3), np.uint8), nothing, nothing, None)], "run")
    assert _read(tmp_path / "p").size


def test_a_panel_has_the_key_to_grey_where_depth_is_missing(tmp_path: Path) -> None:
    image, depth = np.zeros((20, 30, 3), np.uint8), np.linspace(1, 4, 600).reshape(20, 30)
    holed = depth.copy()
    holed[2, 3] = np.nan
    greys = []
    for truth in (depth, holed):
        panel(tmp_path / "p.png", [PanelRow("a", image, truth, depth, 0.1)], "title")
        foot = _read(tmp_path / "p.png")[-120:, :300, :3]
        greys.append(int((foot == round(255 * NO_DEPTH_GREY)).all(-1).sum()))
    assert greys[0] == 0
    assert greys[1] > 50


def test_a_panel_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one image"):
        panel(tmp_path / "p", [], "run")
    with pytest.raises(ValueError, match=r"x: truth \(4, 4\), prediction \(4, 5\)"):
        panel(
            tmp_path / "p", [PanelRow("x", np.zeros((4, 4, 3), np.uint8), np.ones((4, 4)), np.ones((4, 5)), 1)], "run"
        )


def test_matplotlib_is_left_as_it_was(tmp_path: Path) -> None:
    code = f"""
import warnings, matplotlib, numpy as np
warnings.simplefilter("error")
warnings.filterwarnings("default", category=DeprecationWarning)  # of what an old matplotlib uses itself
before = dict.copy(matplotlib.rcParams)
from cliffkit.pictures.panel import PanelRow, panel
from cliffkit.pictures.painted import painted
from cliffkit.pictures.png import depth_colour_png
d = np.ones((6, 8))
panel({str(tmp_path / "p")!r}, [PanelRow("x", np.zeros((6, 8, 3), np.uint8), d, d, 0.0)], "run", "how")
depth_colour_png({str(tmp_path / "c")!r}, painted(d))
assert dict.copy(matplotlib.rcParams) == before
from matplotlib import pyplot
assert pyplot.get_fignums() == []
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


class TestProgress:
    def draw(self, prediction: float, truth: float = 2.0, width: int = 6) -> NDArray[np.uint8]:
        """Two images, 5 high, whose truth is from `truth` to three metres more."""
        images = np.full((2, 3, 5, width), 7, np.uint8)
        truths = np.linspace(truth, truth + 3, 5 * width).reshape(1, 5, width).repeat(2, axis=0)
        return progress_picture(images, truths, np.full_like(truths, prediction))

    def test_images_stand_beside_truth_and_prediction_a_row_each(self) -> None:
        drawn = self.draw(4.0)
        assert drawn.dtype == np.uint8
        assert drawn.shape == (2 * (5 + GAP), 3 * (6 + GAP), 3)
        assert (drawn[:5, :6] == 7).all()
        assert (drawn[5:9] == 255).all()

    def test_equal_depth_has_equal_colour_whatever_else_is_predicted(self) -> None:
        far, near = self.draw(1000.0), self.draw(2.0)
        truth = np.s_[:5, 6 + GAP : 12 + GAP]
        assert np.array_equal(far[truth], near[truth])
        assert not np.array_equal(far, near)

    def test_what_is_not_finite_is_grey(self) -> None:
        drawn = self.draw(np.nan)
        assert {tuple(pixel) for pixel in drawn[:5, 2 * (6 + GAP) : -GAP].reshape(-1, 3)} == {(158, 158, 158)}
        assert self.draw(4.0, truth=np.nan).shape == drawn.shape

    def test_wide_maps_are_drawn_smaller(self) -> None:
        assert self.draw(4.0, width=WIDEST).shape[1] == 3 * (WIDEST + GAP)
        assert self.draw(4.0, width=WIDEST + 1).shape[:2] == (2 * (3 + GAP), 3 * ((WIDEST + 2) // 2 + GAP))
