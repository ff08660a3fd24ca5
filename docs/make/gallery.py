"""Draw the pictures of docs/gallery.md from what the tutorials left in a folder.

`TUTORIALS=FOLDER python docs/make/tutorials.py` follows the tutorials in FOLDER, `python docs/make/gallery.py FOLDER`
takes their run, study, predictions and contact sheet. Needs chromium for the picture of the report.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from PIL import Image
from selenium import webdriver

PICTURES = Path(__file__).parents[1] / "gallery"
WIDEST = 1000
"""Pixels; larger pictures are made smaller."""


def main() -> None:
    """Draw every picture anew."""
    folder = Path(sys.argv[1])
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir()
    study = folder / "runs" / "studies" / "first"
    for name in ("forest", "curves", "over_depth"):
        shutil.copyfile(study / "figures" / f"{name}.svg", PICTURES / f"{name}.svg")

    runs = (folder / "runs").glob("cliff_hegR-*/panel.png")
    _picture(min(runs, key=lambda panel: panel.stat().st_mtime), "panel")
    _picture(folder / "photos.png", "contact_sheet")
    _picture(next(iter(sorted((folder / "theirs" / "0").glob("*.beside.png")))), "beside")
    _screenshot(study / "report.html", "report")


def _picture(source: Path, name: str) -> None:
    """Keep a picture, no wider than WIDEST; a small one is shown at twice its size."""
    with Image.open(source) as image:
        kept = image.convert("RGB")
    if kept.width < WIDEST / 4:
        kept = kept.resize((2 * kept.width, 2 * kept.height), Image.Resampling.NEAREST)
    kept.thumbnail((WIDEST, 10 * WIDEST))
    kept.save(PICTURES / f"{name}.png", optimize=True)


def _screenshot(page: Path, name: str) -> None:
    """Keep the beginning of a page as a browser shows it."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1280,1500"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options)
    try:
        driver.get(page.resolve().as_uri())
        driver.save_screenshot(str(PICTURES / f"{name}.png"))
    finally:
        driver.quit()
    _picture(PICTURES / f"{name}.png", name)


if __name__ == "__main__":
    main()
