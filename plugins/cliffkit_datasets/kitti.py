"""KITTI by Eigen's split: raw drives, and truth that is improved (Uhrig et al., 2017) or the laser scanner's own.

Sources of the lists: `train_test_inputs/eigen_*_files_with_gt.txt` of BTS, whose lines are `image truth focal`, and
`splits/eigen*/` of monodepth2, whose lines are `DATE/DRIVE frame side`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit_datasets.files import Finder, named_folder, read_png16
from cliffkit_datasets.kitti_laser import Calibration, project, read_calibration
from cliffkit_datasets.listed import Frame, Listed
from cliffkit_datasets.lists import NO_TRUTH, Line, below, find_list, read_list, rooted

LISTS = {
    "train": (
        "eigen_train_files_with_gt.txt",
        "kitti_eigen_train.txt",
        "eigen_zhou/train_files.txt",
        "eigen_full/train_files.txt",
    ),
    "test": (
        "eigen_test_files_with_gt.txt",
        "kitti_eigen_test.txt",
        "eigen/test_files.txt",
        "eigen_benchmark/test_files.txt",
    ),
}
IMAGES = ("", "raw", "raw_data", "input", "kitti_raw")
TRUTHS = tuple(
    f"{folder}{half}".strip("/")
    for folder in ("data_depth_annotated/", "", "gt_depth/", "depth/", "kitti_depth/", "data_depth_annotated/depth/")
    for half in ("", "train", "val")
)
"""Folders of the improved truth: as published in train/ and val/, or merged, as lists expect it."""
HOLDS = "raw drives DATE/DRIVE_sync/, improved truth DRIVE_sync/proj_depth/, and the lists of Eigen's split"
UNITS_PER_M = 256.0
DRIVE = re.compile(r"(\d{4}_\d\d_\d\d)_drive_\d{4}_sync")
SIDES = {"l": "image_02", "r": "image_03", "2": "image_02", "3": "image_03"}


@final
class KITTI(Listed):
    """KITTI by the lists of Eigen's split, of BTS or of monodepth2; test is its list, 697 lines, 652 with truth.

    The folder holds raw drives `DATE/DRIVE_sync/image_02/data/` (or below `raw/`, `input/`), improved truth
    `DRIVE_sync/proj_depth/groundtruth/image_02/` below `data_depth_annotated/`, `gt_depth/` or the folder itself, with
    or without train/ and val/ in between, and the lists, in it or in `train_test_inputs/` or `splits/`. Validation is
    cut from the training list by drive. Sizes vary between dates. Truth is sparse: 16 to 20 % of pixels.

    Raw truth is how far a point is ahead of the scanner, as in the published scores on raw truth: some 0.27 m more than
    its depth ahead of the camera, where the improved truth counts from.

    Images without truth are left out: lines with `None`, frames of monodepth2's lists that have none, and with raw
    truth those without a scan.

    Raises UserError for lists that share drives, and for a missing list or file; upon reading, for depth that is none.

    Options:
        truth: Published depth maps, `improved`, or the scan of `velodyne_points` projected into the image, `raw`.
        train_list: Name of the training list; empty for that of BTS, of the MDE-Toolbox or of monodepth2.
        test_list: Name of the test list; empty for that of BTS, of the MDE-Toolbox or of monodepth2.
        val_share: Share of the images of the training list that becomes the validation split, in whole drives.
    """

    layout = "kitti"
    protocol = "garg"
    limit_m = 256.0
    remedy = "take the files as published, 16-bit PNGs of depth in metres times 256"

    def __init__(
        self,
        split: str,
        root: Path | None,
        *,
        truth: Literal["improved", "raw"] = "improved",
        train_list: str = "",
        test_list: str = "",
        val_share: float = 0.1,
    ) -> None:
        super().__init__(split, named_folder(self.layout, root, HOLDS))
        self._truth = truth
        self._finders = (Finder(self._root, IMAGES), Finder(self._root, TRUTHS))
        self._calibrations: dict[str, Calibration | None] = {}
        lists = {"train": train_list, "test": test_list}
        self.deal({half: self._listed(half, named) for half, named in lists.items()}, val_share)

    def _listed(self, half: str, named: str) -> list[Frame]:
        """Read the list of train or test."""
        path = find_list(self.layout, self._root, f"{half}_list", named, LISTS[half])
        lines = read_list(path, least=2)
        frames = [frame for line in lines if (frame := self._frame(line))]
        if half == ("test" if self._split == "test" else "train"):
            without = len(lines) - len(frames)
            said = sum(line.words[1] == NO_TRUTH for line in lines)
            self._notes.append(f"{len(lines)} lines of {path.name}, {len(frames)} with {self._truth} truth")
            if count := rooted(lines):
                self._notes.append(
                    f"{count} paths of {path.name} begin with /: they are read below the folder, not from the root"
                )
            if without:
                words = f", {said} of them None in the list" if said and self._truth == "improved" else ""
                self._notes.append(f"{without} lines have no {self._truth} truth{words}: their images are left out")
        if not frames:
            raise UserError(f"{path}: no line has {self._truth} truth below {self._root}; put it there, {HOLDS}")
        return frames

    def _frame(self, line: Line) -> Frame | None:
        """Make a frame of a line; None where it has no truth."""
        image, truth = _of_pair(line) if "/image_0" in line.words[0] else _of_frame(line)
        drive = DRIVE.search(image)
        if drive is None:
            raise UserError(f"{line.place} {image} names no drive, as 2011_09_26_drive_0001_sync; take Eigen's lists")
        name = image[drive.start() :].rpartition(".")[0]
        dated = f"{drive[1]}/{image[drive.start() :]}"
        jpeg = f"{dated.rpartition('.')[0]}.jpg"  # as monodepth2 advises to store them
        image = self._finders[0].find(dated, jpeg, image) or dated
        if self._truth == "raw":
            scan = re.sub(r"image_0[23]/data/(\d+)\.\w+$", r"velodyne_points/data/\1.bin", image)
            return Frame(name, (image, scan), drive[0], "", line.place) if (self._root / scan).is_file() else None
        if truth is None:
            return None
        depth = self._finders[1].find(truth)
        if not depth and "/image_0" not in line.words[0]:
            return None  # monodepth2's lists name frames, whatever their truth: drives begin and end without
        return Frame(name, (image, depth or truth), drive[0], "", line.place)

    def read(self, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Read the image of a frame, and its truth from the PNG or from the scan."""
        image = self.read_image(frame)
        if self._truth == "improved":
            return image, read_png16(self._root / frame.files[1], self.place(frame, 1), UNITS_PER_M)
        calibration = self._calibration(frame)
        if calibration is None:
            raise UserError(
                f"{self.place(frame, 1)} cannot be projected without calib_cam_to_cam.txt and calib_velo_to_cam.txt in "
                f"the folder of its date; put them there"
            )
        return image, project(self._root / frame.files[1], calibration, _number(frame), image.shape[:2])

    def camera(self, frame: Frame, size: tuple[int, int]) -> Sequence[float] | None:
        """Give the rectified camera of calib_cam_to_cam.txt, where that is in the folder of the date."""
        calibration = self._calibration(frame)
        if calibration is None:
            return None
        p = calibration.projections[_number(frame)]
        return float(p[0, 0]), float(p[1, 1]), float(p[0, 2]) + 0.5, float(p[1, 2]) + 0.5

    def _calibration(self, frame: Frame) -> Calibration | None:
        folder = DRIVE.split(frame.files[0])[0].rstrip("/")
        if folder not in self._calibrations:
            self._calibrations[folder] = read_calibration(self._root / folder)
        return self._calibrations[folder]

    def facts(self) -> Sequence[object]:
        """Give the kind of truth, and what of calibrations is used."""
        used = sorted({DRIVE.split(frame.files[0])[0]: frame for frame in self._frames}.items())
        known = [(date, self._calibration(frame)) for date, frame in used]
        return (self._truth, [(date.rstrip("/"), found.as_text()) for date, found in known if found])

    def notes(self) -> Sequence[str]:
        """Name what the lists hold, how sparse truth is, and what else differs between loaders of KITTI."""
        drives = Counter(frame.scene for frame in self._frames)
        raw = self._truth == "raw"
        kind = "the laser scanner's of one moment" if raw else "accumulated over neighbouring frames"
        ahead = (
            "raw truth counts from the scanner, as published scores: some 0.27 m more than depth ahead of the camera"
        )
        return (
            *self._notes,
            f"{len(drives)} drives, and no drive is in two splits",
            f"{self._truth} truth is {kind}, and sparse: no pixel is filled",
            *([ahead] if raw else []),
            "scores on raw and on improved truth do not compare",
            "images are whole: many loaders cut them to 352x1216 at the bottom",
        )


def _number(frame: Frame) -> int:
    """Give the number of the camera, 2 or 3."""
    return 3 if "/image_03/" in frame.files[0] else 2


def _of_pair(line: Line) -> tuple[str, str | None]:
    """Give image and truth of a line `image truth focal`."""
    image, truth = line.words[:2]
    return below(line, image), None if truth == NO_TRUTH else below(line, truth)


def _of_frame(line: Line) -> tuple[str, str]:
    """Give image and truth of a line `DATE/DRIVE frame side`."""
    drive, number, side = below(line, line.words[0]), line.words[1], (*line.words, "l")[2]
    if not number.isdecimal() or side not in SIDES:
        raise UserError(
            f"{line.place} {' '.join(line.words)} is neither `image truth focal` nor `DATE/DRIVE frame side`; take a "
            f"list of BTS or monodepth2"
        )
    file = f"{int(number):010d}.png"
    folder = SIDES[side]
    return f"{drive}/{folder}/data/{file}", f"{drive.rpartition('/')[2]}/proj_depth/groundtruth/{folder}/{file}"
