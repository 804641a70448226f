"""Pages from templates: one file each, which opens from disk and fetches nothing.

A folder that a page is made of may be somebody else's: templates escape whatever they are given but the SVG of charts.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ganlab.contracts.figures import Chart, Table
from ganlab.core import files
from ganlab.core.errors import GanlabError, shortened
from ganlab.evaluation import scores
from ganlab.reports import charts, words
from ganlab.reports.numbers import interval_on_page, on_page, probability

_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST = 16 * 2**20  # bytes of a picture inside a page
_DIGITS = 6  # significant ones of a number inside a script


@dataclass(frozen=True)
class Picture:
    """A picture inside a page.

    Args:
        title: Its caption.
        source: A ``data:`` URL.
        note: Words behind the caption.
    """

    title: str
    source: str
    note: str = ""


@dataclass(frozen=True)
class Part:
    """A part of a page under a title: sentences, then pictures, charts and tables.

    Args:
        title: Its heading.
        text: Paragraphs.
        pictures, charts, tables: Figures; charts beyond two rows and long tables are folded.
    """

    title: str
    text: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()

    def __bool__(self) -> bool:
        return any((self.text, self.pictures, self.charts, self.tables))


def save(path: Path, template: str, **content: Any) -> Path:
    """Write a page, whole or not at all. Text of which there is no UTF-8 becomes ``?``.

    Args:
        template: A file of the folder templates.
        content: What the template names; ``title`` is that of the page.

    Raises:
        GanlabError: If it cannot be written, or matplotlib or jinja2 cannot be imported.
    """
    try:
        importlib.import_module("matplotlib")
        environment = _environment()
    except ImportError as error:
        raise GanlabError(
            f"{path.name} is not written: {shortened(str(error))}; pip install matplotlib jinja2."
        ) from error
    text = environment.get_template(template).render(content)
    files.write_text(path, text.encode(errors="replace").decode())
    return path


def with_scripts(scripts: Sequence[str]) -> dict[str, Any]:
    """Return scripts for a page as they are, and the policy by which it runs these alone and fetches nothing."""
    from markupsafe import Markup

    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"
    return {"policy": policy, "scripts": [Markup(script) for script in scripts]}


def picture(path: Path, title: str, note: str = "") -> Picture | None:
    """Return a PNG for a page; None if there is none, or it is a link or huge."""
    content = png(path)
    return None if content is None else embedded(content, title, note)


def png(path: Path) -> bytes | None:
    """Return the content of a PNG; None if there is none, or it is a link or huge."""
    try:
        content = files.read(path) if path.stat().st_size <= _LARGEST else b""
    except OSError:
        return None
    return content if content.startswith(_PNG) else None


def embedded(content: bytes, title: str, note: str = "", kind: str = "png") -> Picture:
    """Return the content of a picture for a page.

    Args:
        kind: As in ``image/png``.
    """
    return Picture(title, f"data:image/{kind};base64,{base64.b64encode(content).decode()}", note)


def in_script(value: Any) -> Any:
    """Return a value as JSON inside a script element: nothing in it ends the element, and no number is infinite.

    Args:
        value: Plain values, and objects with a method ``plain`` that returns some.
    """
    from markupsafe import Markup

    text = json.dumps(_plain(value), separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return _plain(value.plain()) if hasattr(value, "plain") else value


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        in_script=in_script,
        svg=lambda chart: Markup(charts.svg(chart)),
        cell=lambda value: value if isinstance(value, str) else on_page(value),
        written=words.written,
        interval_of=lambda one: interval_on_page(one.low, one.high),
        difference=lambda one: on_page(one.mean, one.low, one.high),
        chance=lambda one: on_page(one.probability, one.low, one.high),
        probability=probability,
        interval=lambda value: interval_on_page(value.get("low"), value.get("high")),
        explained=words.explained,
        subject=lambda record: scores.title(record)[:1].upper() + scores.title(record)[1:],
    )
    return environment
