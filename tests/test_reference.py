"""Generated parts of docs/reference say what the code says; `just reference` writes them anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from cogapp import Cog

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_of_the_reference_is_as_it_would_be_generated(page: Path) -> None:
    assert Cog().main(["cog", "-I", str(REFERENCE.parent / "make"), "--check", str(page)]) == 0, "run `just reference`"
