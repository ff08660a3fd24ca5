from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from cliffkit_datasets.mat5 import read_arrays


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_reads_what_scipy_wrote(tmp_path: Path, dtype: str, compressed: bool) -> None:
    written = {
        "one": np.array([[7]], dtype),
        "column": np.arange(9, dtype=dtype)[:, None],
        "table": np.arange(12, dtype=dtype).reshape(3, 4),
        "none": np.zeros((0, 1), dtype),
    }
    scipy.io.savemat(tmp_path / "a.mat", written, do_compression=compressed)
    arrays = read_arrays(tmp_path / "a.mat")
    assert list(arrays) == list(written)
    for name, array in written.items():
        assert np.array_equal(arrays[name], array)
        assert np.shape(arrays[name]) == array.shape


@pytest.mark.parametrize("value", ["text", {"field": 1}, [[1j]], np.array([["b", "a"]], object)])
def test_what_is_no_array_of_real_numbers_is_none(tmp_path: Path, value: Any) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"a": value, "b": [[5]]})
    arrays = read_arrays(tmp_path / "a.mat")
    assert arrays["a"] is None
    assert arrays["b"] == 5


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_is_a_value_error_and_nothing_else(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"a": np.arange(50.0), "b": np.arange(9, dtype="u2")}, do_compression=compressed)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        content = bytearray(whole)
        for place in rng.integers(120, len(whole), 3):
            content[place] = rng.integers(256)
        path.write_bytes(content[: rng.integers(len(whole))] if rng.random() < 0.2 else content)
        try:
            read_arrays(path)
        except ValueError:
            refused += 1
    assert refused > 500


def test_an_element_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {})
    header = (tmp_path / "a.mat").read_bytes()[:128]
    bomb = zlib.compress(bytes(80 * 2**20))
    (tmp_path / "a.mat").write_bytes(header + np.array([15, len(bomb)], "<u4").tobytes() + bomb)
    with pytest.raises(ValueError, match="larger than"):
        read_arrays(tmp_path / "a.mat")
