"""Figures as SVG and PDF, and the same SVG as part of a page that may be light or dark.

Everything is drawn without a background, in a few colours that `inline` replaces by those of the page's style sheet.
Text stays text. Nothing of matplotlib's global state is left changed.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from cliffkit.store.files import make_folder, write_atomic

INK, FAINT, GOOD, BAD = "#1b1d1f", "#6b7076", "#0b5cad", "#a33a00"

ON_PAGE: Mapping[str, str] = MappingProxyType(
    {INK: "currentColor", FAINT: "var(--muted)", GOOD: "var(--better)", BAD: "var(--worse)"}
)

_RC: Mapping[str, Any] = MappingProxyType(
    {
        "font.size": 9.0,
        "svg.fonttype": "none",
        "svg.hashsalt": "cliffkit",
        "pdf.fonttype": 42,
        "text.parse_math": False,
        "text.usetex": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "legend.frameon": False,
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    }
)


@contextmanager
def drawing() -> Iterator[None]:
    """Draw within the block in the style of reports."""
    settings: Any = dict(_RC)
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # names may be in any script
        yield


def save(figure: Figure, folder: Path, name: str) -> str:
    """Write both forms, alike bit by bit whenever they are drawn; returns the SVG."""
    make_folder(folder)
    undated = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    FigureCanvasSVG(figure)
    _settle(figure)
    write_atomic(folder / f"{name}.svg", lambda path: figure.savefig(path, format="svg", metadata=undated))
    FigureCanvasPdf(figure)
    undated = dict.fromkeys(("Creator", "Producer", "CreationDate"))
    write_atomic(folder / f"{name}.pdf", lambda path: figure.savefig(path, format="pdf", metadata=undated))
    return (folder / f"{name}.svg").read_text(encoding="utf-8")


def _settle(figure: Figure) -> None:
    """Lay a figure out once, at rounded places: the solver's last digits change from one layout to the next."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(Bbox(axes.get_position().get_points().round(6)))


def inline(svg: str, name: str, label: str) -> str:
    """Make a figure part of a page: its ids begin with the figure's name, its colours are the page's."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-")
    for colour, token in ON_PAGE.items():
        svg = svg.replace(colour, token)
    svg = re.sub(r' xmlns(?::xlink)?="[^"]*"', "", svg)  # a page's parser knows them; no address is left in it
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def one_line(name: str) -> str:
    """Put a name on one line that XML can hold, its middle left out where it is too long."""
    name = "".join(char if char.isprintable() else "�" for char in name)
    return name if len(name) <= 40 else f"{name[:19]}…{name[-20:]}"
