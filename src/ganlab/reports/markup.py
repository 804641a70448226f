"""Parts of a page: tables, figures, pictures, and the page itself, which opens from disk and fetches nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from ganlab.core import files

_PNG = b"\x89PNG\r\n\x1a\n"
UNFOLDED = 6
_LARGEST = 16 * 2**20  # bytes of a picture inside a page


def save(path: Path, title: str, body: str) -> Path:
    """Write a page with the style sheet, whole or not at all. Text of which there is no UTF-8 becomes ``?``.

    Raises:
        GanlabError: If it cannot be written.
    """
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )
    files.write_text(path, text.encode(errors="replace").decode())
    return path


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table; cells are HTML; a head that begins with ``-`` is that of a column of text.

    Args:
        kind: A class of the style sheet.
    """
    top = "".join(f'<th class="text">{escape(h[1:])}</th>' if h[:1] == "-" else f"<th>{escape(h)}</th>" for h in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    attribute = f' class="{kind}"' if kind else ""
    return f'<div class="scroll"><table{attribute}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(content: str, text: bool = False, html: bool = False, label: str = "") -> str:
    """A cell of a table.

    Args:
        content: What is in it.
        text: Whether it is a sentence, and no number or name.
        html: Whether ``content`` is HTML; else it is escaped.
        label: What a narrow page writes before it, where the table has no heads.
    """
    attributes = (" class=text" if text else "") + (f' data-label="{escape(label)}"' if label else "")
    return f"<td{attributes}>{content if html else escape(content)}</td>"


def folded(title: str, content: str) -> str:
    """A part that is unfolded by a click."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def charts(title: str, figures: Sequence[str]) -> str:
    """Charts side by side; what are more than two rows on a wide screen is folded."""
    if not figures:
        return ""
    first, rest = ("".join(part) for part in (figures[:UNFOLDED], figures[UNFOLDED:]))
    more = folded(f"{len(figures) - UNFOLDED} more", f'<div class="charts">{rest}</div>') if rest else ""
    return f'<h3>{escape(title)}</h3><div class="charts">{first}</div>{more}'


def figure(caption: str, content: str, more: str = "") -> str:
    span = f" <span>{escape(more)}</span>" if more else ""
    return f"<figure><figcaption>{escape(caption)}{span}</figcaption>{content}</figure>"


def pictures(title: str, figures: Sequence[str]) -> str:
    return f'<h3>{escape(title)}</h3><div class="pictures">{"".join(figures)}</div>' if any(figures) else ""


def picture(path: Path, caption: str) -> str:
    """A PNG inside the page; empty if there is none, or it is a link or huge."""
    try:
        content = files.read(path) if path.stat().st_size <= _LARGEST else b""
    except OSError:
        return ""
    return figure(caption, _embedded(content, caption)) if content.startswith(_PNG) else ""


def image(content: Image.Image, alt: str) -> str:
    """An image inside the page."""
    file = io.BytesIO()
    content.save(file, format="png")
    return _embedded(file.getvalue(), alt)


def counted(count: int, what: str) -> str:
    """A number of things: ``1 sample``, ``2,000 samples``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _embedded(png: bytes, alt: str) -> str:
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
