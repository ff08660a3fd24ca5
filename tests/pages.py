"""What docs/make/pages.py says of a page, for tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

MAKE = Path(__file__).parents[1] / "docs" / "make"

_spec = importlib.util.spec_from_file_location("pages", MAKE / "pages.py")
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["pages"] = _module  # dataclasses look their module up
_spec.loader.exec_module(_module)

Block, blocks, follow = _module.Block, _module.blocks, _module.follow
