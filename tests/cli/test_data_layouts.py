"""`cliffkit data check` on layouts of published data sets."""

from __future__ import annotations

import json

from ..plugins.layout_files import write_kitti


def test_data_check_names_traps_and_the_customary_protocol(invoke, tmp_path):
    root = write_kitti(tmp_path)
    words = invoke("data", "check", "kitti", "--data", f"kitti={root}").stdout
    assert "the field scores this data set by `garg`" in words
    assert "1 of them None in the list: their images are left out" in words
    facts = json.loads(invoke("data", "check", "kitti", "--data", f"kitti={root}", "--json").stdout)["splits"]["test"]
    assert facts["protocol"] == "garg"
    assert any("sparse" in note for note in facts["notes"])
