"""Pages of the docs lead where they say."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from cliffkit.recipe.schema import DepthSettings, EmbeddingSettings

ROOT = Path(__file__).parents[1]
SITE = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *SITE]

CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#:\s]*)(?:#([^)]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The names by which headings of a page are linked to, as both GitHub and MkDocs make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    words = (re.sub(r"[^\w\s-]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)) for title in HEADING.findall(text))
    return {re.sub(r"\s", "-", title.strip().lower()) for title in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_a_page_and_its_heading(page: Path) -> None:
    for target, anchor in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        file = Path(os.path.normpath(page.parent / target)) if target else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), f"{target}#{anchor}"


@pytest.mark.parametrize("page", SITE, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_of_the_site_stay_within_it(page: Path) -> None:
    targets = [target for target, _ in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))) if target]
    outside = [name for name in targets if not Path(os.path.normpath(page.parent / name)).is_relative_to(ROOT / "docs")]
    assert outside == []


def test_the_guide_to_recipes_has_every_key_of_training_and_its_default() -> None:
    page = (ROOT / "docs" / "guides" / "recipes.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)`(?: \(\w+\))? \| ([^|(]*?) (?:\([^|]*)?\|", page, re.MULTILINE))
    for name, field in {**EmbeddingSettings.model_fields, **DepthSettings.model_fields}.items():
        default = "needed" if field.is_required() else field.default
        assert yaml.safe_load(re.sub(r"^(\d)e", r"\1.0e", rows[name].strip("`"))) == default, name


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]))
    assert named == {page.relative_to(ROOT / "docs").as_posix() for page in SITE}
