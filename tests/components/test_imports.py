"""Imports without the collector of garbage."""

from __future__ import annotations

import gc

import pytest

from cliffkit.components.imports import without_collector


def test_the_collector_rests_within_and_is_as_before_afterwards() -> None:
    with without_collector():
        assert not gc.isenabled()
        with without_collector():
            assert not gc.isenabled()
        assert not gc.isenabled(), "an import within an import"
    assert gc.isenabled()
    with pytest.raises(ImportError), without_collector():
        raise ImportError
    assert gc.isenabled()


def test_a_caller_that_has_none_keeps_none() -> None:
    gc.disable()
    try:
        with without_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
