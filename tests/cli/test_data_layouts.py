"""`cliffkit data check` on layouts of published data sets."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

from ..plugins.layout_files import write_kitti


def test_data_check_names_traps_and_the_customary_protocol(invoke, tmp_path):
    root = write_kitti(tmp_path)
    words = invoke("data", "check", "kitti", "--data", f"kitti={root}").stdout
    assert "the field scores this data set by `garg`" in words
    assert "1 of them None in the list: their images are left out" in words
    facts = json.loads(invoke("data", "check", "kitti", "--data", f"kitti={root}", "--json").stdout)["splits"]["test"]
    assert facts["protocol"] == "garg"
    assert any("sparse" in note for note in facts["notes"])


def test_a_contact_sheet_has_images_of_every_split_and_the_notes(invoke, tmp_path):
    root = write_kitti(tmp_path / "kitti")
    sheet = tmp_path / "sheet.png"
    result = invoke("data", "check", "kitti", "--data", f"kitti={root}", "--sheet", sheet)
    assert f"drawn: {sheet}" in result.stderr
    with Image.open(sheet) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[1] == 1240
    for name in ("2011_09_26_drive_0009_sync", "2011_10_03_drive_0034_sync"):
        first = 10 * (3 if "0009" in name else 2)
        colours = [(10 * i % 250, 100, 200 - i) for i in range(first, first + 4)]  # of the fixture's pictures
        assert any((np.abs(pixels - colour).sum(-1) == 0).sum() > 1000 for colour in colours), name


def test_a_sheet_that_cannot_be_written_is_named(invoke, tmp_path):
    root = write_kitti(tmp_path / "kitti")
    result = invoke("data", "check", "kitti", "--data", f"kitti={root}", "--sheet", tmp_path / "no/sheet.png")
    assert result.exit_code == 2
    assert "no/sheet.png" in result.stderr


def test_data_get_lists_what_can_be_downloaded_and_names_the_next_command(invoke, tmp_path, monkeypatch):
    monkeypatch.setattr("cliffkit.get_data", lambda name, out, **how: out)
    assert invoke("data", "get").stdout.startswith("nyu        3.0 GB  NYU-Depth V2")
    words = invoke("data", "get", "nyu", "-o", tmp_path / "my data").stdout
    assert f"cliffkit data check nyu --data 'nyu={tmp_path}/my data'" in words
