"""The report in a real browser: Debian's chromium, offline, at a phone's width and a desk's, light and dark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cliffkit.components.registry import Registry
from cliffkit.report.write import write_report
from cliffkit.study.analysis import analyse

from ..report_fixtures import AXES, HOSTILE_LEVEL, HOSTILE_REASON, make_gallery, make_results, make_study

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")

FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage"""
PLACES = [(width, scheme) for width in (360, 400, 1280) for scheme in ("light", "dark")] + [(1900, "light")]
LOW_CONTRAST = """
const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const opaque = colour => { const p = parts(colour); return p.length < 4 || p[3] > 0; };
function behind(element) {
  for (let e = element; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (opaque(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
}
const found = [];
for (const element of document.body.querySelectorAll("*")) {
  if (!element.checkVisibility() || element.closest("script")) continue;
  if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())) continue;
  const style = getComputedStyle(element);
  const ink = element.closest("svg") ? style.fill : style.color;
  const [a, b] = [light(parts(ink)), light(parts(behind(element)))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) found.push([element.tagName, element.textContent.trim().slice(0, 40), ink, behind(element), ratio]);
}
return found;
"""
SIDES = """
const element = document.querySelector(arguments[0]);
const box = (element.closest(".wide") ?? element).getBoundingClientRect();
return [box.left, document.documentElement.clientWidth - box.right];
"""
MEASURE = """
const lead = document.querySelector(".lead");
return lead.clientWidth / (parseFloat(getComputedStyle(lead).fontSize) / 2);
"""
TEXT_PX = """
const shown = [...document.querySelectorAll(".plot svg")].filter(svg => svg.checkVisibility());
const scale = svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
const size = (text, svg) => parseFloat(getComputedStyle(text).fontSize) * scale(svg);
return shown.flatMap(svg => [...svg.querySelectorAll("text")].map(text => size(text, svg)));
"""
COLUMN = """
const rows = [...document.querySelectorAll(`#${arguments[0]} tbody tr`)];
return rows.map(row => row.cells[arguments[1]].textContent.trim());
"""
CELLS = """
const rows = [...document.querySelectorAll(`#${arguments[0]} tbody tr`)];
const told = cell => [cell.tagName, cell.scope, cell.className.trim(), cell.innerHTML.replaceAll(' class=""', "")];
return rows.map(row => [...row.cells].map(told));
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, registry: Registry, tiny: str) -> Path:
    """A report with everything in it: failures, hostile names, pictures."""
    root = tmp_path_factory.mktemp("browser")
    study = make_study(
        root, registry, tiny, axes={**AXES, "h": {"plain": {}, HOSTILE_LEVEL: {"train.depth.lr": 0.005}}}
    )
    name = study.variants[3].name
    results = make_results(study, root / "runs", failed={(name, seed): HOSTILE_REASON for seed in study.seeds})
    analysis, gallery = analyse(results), make_gallery(results)
    files = write_report(
        results, analysis, root, gallery=gallery, command="cliffkit ablate", progress=lambda what: None
    )
    return files["report.html"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One chromium for all tests, with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(DRIVER, env={**os.environ, "SE_OFFLINE": "true"})
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: Any, report: Path) -> Any:
    """The report, freshly opened on a desk."""
    return show(browser, report, 1280, "light")


def show(browser: Any, report: Path, width: int, scheme: str) -> Any:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(report.as_uri())
    return browser


def column(page: Any, place: int, table: str = "scores") -> list[str]:
    values: list[str] = page.execute_script(COLUMN, table, place)
    return values


def numbers(texts: list[str]) -> list[float]:
    return [float(text.split()[0].replace("−", "-")) for text in texts if text[0] != "–"]


@pytest.mark.parametrize(("width", "scheme"), PLACES)
def test_nothing_goes_wrong_and_the_page_fits(browser: Any, report: Path, width: int, scheme: str) -> None:
    browser.get_log("performance")
    page = show(browser, report, width, scheme)
    assert page.get_log("browser") == []
    assert "Network.requestWillBeSent" in str(requests := page.get_log("performance"))
    assert "http://" not in str(requests)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert page.execute_script("return [...document.images].every(image => image.complete && image.naturalWidth > 0)")
    dark = page.execute_script("return getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("width", [400, 1280, 1900])
def test_the_page_is_centred_and_wide_tables_use_the_screen(browser: Any, report: Path, width: int) -> None:
    page = show(browser, report, width, "light")
    for place in ("h1", ".lead", "#verdicts", ".checklist", "#every", ".tiles"):
        left, right = page.execute_script(SIDES, place)
        assert abs(left - right) <= 1, place
    left, _ = page.execute_script(SIDES, "#every")
    assert left < 60, "the widest table has the screen"
    assert page.execute_script(MEASURE) <= 100, "lines are short enough to read"


@pytest.mark.parametrize(("width", "narrow"), [(400, True), (1280, False)])
def test_a_phone_shows_figures_of_its_width(browser: Any, report: Path, width: int, narrow: bool) -> None:
    page = show(browser, report, width, "light")
    plots = page.find_elements("css selector", ".plot")
    shown = [plot for plot in plots if plot.is_displayed()]
    assert len(plots) == 2 * len(shown) >= 6
    assert {"narrow" in plot.get_attribute("class") for plot in shown} == {narrow}
    sizes = page.execute_script(TEXT_PX)
    assert sizes
    assert min(sizes) >= 9.5, "text of figures can be read"


@pytest.mark.parametrize(("width", "scheme"), PLACES)
def test_all_text_has_contrast(browser: Any, report: Path, width: int, scheme: str) -> None:
    page = show(browser, report, width, scheme)
    page.execute_script("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert page.execute_script(LOW_CONTRAST) == []


def test_sorting_by_click(page: Any) -> None:
    head = page.find_element("css selector", "#scores thead th:nth-child(6)")
    before = numbers(column(page, 5))
    assert before != sorted(before)
    for way, values in (("ascending", sorted(before)), ("descending", sorted(before, reverse=True))):
        head.find_element("tag name", "button").click()
        assert head.get_attribute("aria-sort") == way
        assert numbers(column(page, 5)) == values
        assert column(page, 5)[-1] == "–"  # what was not measured is last either way


def test_sorting_by_keyboard_and_by_differences(page: Any) -> None:
    button = page.find_element("css selector", "#scores thead th:nth-child(3) button")
    page.execute_script("arguments[0].focus()", button)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    values = numbers(column(page, 2))
    assert values == sorted(values)
    assert min(values) < 0 < max(values)
    page.switch_to.active_element.send_keys(Keys.SPACE)
    assert numbers(column(page, 2)) == values[::-1]


def test_times_sort_by_their_length(page: Any) -> None:
    table = "table.sortable:has(caption)"
    place = page.execute_script(
        f"return [...document.querySelectorAll('{table}')].findIndex(t => t.caption.textContent.startsWith('Time'))"
    )
    found = page.find_elements("css selector", table)[place]
    for _ in range(2):
        found.find_elements("css selector", "thead button")[4].click()
    seconds = page.execute_script(
        "return [...arguments[0].tBodies[0].rows].map(row => +row.cells[4].dataset.sort)", found
    )
    assert seconds == sorted(seconds, reverse=True)
    assert len(set(seconds)) > 1  # though all read "2 min"


def test_another_metric_changes_the_table(page: Any) -> None:
    at_first = [page.execute_script(CELLS, name) for name in ("scores", "every")]
    chosen = Select(page.find_element("id", "choose-metric"))
    errors = column(page, 5)
    planned = page.find_element("css selector", "#scores thead th:nth-child(8)")
    assert planned.is_displayed()
    page.find_element("css selector", "#scores thead th:nth-child(6) button").click()
    chosen.select_by_value("delta1")
    assert not planned.is_displayed()
    shares = numbers(column(page, 5))
    assert column(page, 5) != errors
    assert shares == sorted(shares)  # it stays sorted
    assert "delta1 ↑" in page.find_element("css selector", "#scores caption").text
    assert page.find_elements("css selector", "#scores b, #scores script") == []
    assert HOSTILE_LEVEL in page.find_element("id", "scores").text
    page.refresh()
    Select(page.find_element("id", "choose-protocol")).select_by_visible_text("eigen")
    assert column(page, 5) != errors
    assert "Every metric under eigen" in page.find_element("css selector", "#every caption").text
    Select(page.find_element("id", "choose-protocol")).select_by_visible_text("full")
    # What the script draws is what was there without it.
    assert [page.execute_script(CELLS, name) for name in ("scores", "every")] == at_first


def test_readable_without_javascript(browser: Any, report: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page = show(browser, report, 360, "light")
        assert len(page.find_elements("css selector", "#scores tbody tr")) == 12
        assert not page.find_element("id", "choose-metric").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
