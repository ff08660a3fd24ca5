"""report.html: one file that loads nothing, readable without JavaScript, sorted and switched with it."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from cliffkit.report import remarks, wording
from cliffkit.report.material import Material
from cliffkit.report.sections import SECTIONS
from cliffkit.report.summary import summary
from cliffkit.report.wording import NOTHING
from cliffkit.text import printable


def page(material: Material) -> str:
    """Write the whole page."""
    environment = _environment()
    sections = [section for make in SECTIONS if (section := make(material)) is not None]
    bodies = [
        Markup(environment.get_template(f"{section.name}.html.j2").render(section.values)) for section in sections
    ]
    style, script = (_text(name) for name in ("page.css", "page.js"))
    context = {
        "style": style,
        "script": script,
        "script_hash": _hash(script),
        "study": material.study,
        "summary": summary(material.results, material.analysis),
        "question": remarks.question(material.results),
        "state": remarks.state(material.results),
        "troubles": remarks.troubles(material.results),
        "sections": list(zip(sections, bodies, strict=True)),
    }
    return environment.get_template("page.html.j2").render(context)


def _environment() -> Environment:
    """Make the environment of all templates: everything is escaped, and what acts on a screen is shown instead."""
    environment = Environment(
        loader=PackageLoader("cliffkit.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["shown"] = _shown
    environment.filters["code"] = _code
    environment.globals.update(marks=dict(wording.MARKS), nothing=NOTHING)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
    return environment


def _text(name: str) -> Markup:
    """Read a file that stands in the page as it is, style sheet or script."""
    return Markup((resources.files("cliffkit.report") / name).read_text(encoding="utf-8"))


def _hash(script: str) -> str:
    """Hash the page's one script, as its content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _code(text: str) -> Markup:
    """Set what stands between backticks in a sentence as code."""
    code = Markup("<code>{}</code>")
    parts = enumerate(wording.plain_and_code(text))
    return Markup("").join(code.format(part) if i % 2 else escape(part) for i, part in parts)


def _shown(value: object) -> object:
    """Escape characters that act on a screen, in a text that the page shows. Other values stay as they are."""
    if isinstance(value, Markup):
        return Markup(printable(value))
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {name: _shown(inner) for name, inner in value.items()}
    return [_shown(inner) for inner in value] if isinstance(value, list | tuple) else value
