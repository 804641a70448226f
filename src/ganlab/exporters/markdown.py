"""Markdown of texts that other people chose."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any


def plain(value: Any) -> str:
    """Return a text as one line that is neither Markdown, HTML nor the end of a table's cell."""
    line = html.escape(" ".join(str(value).split()), quote=False)
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", line)


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Yield the lines of a table of plain texts, and an empty one."""
    yield f"| {' | '.join(map(plain, heads))} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(map(plain, row))} |"
    yield ""


def folded(summary: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield lines that a reader unfolds, and an empty one."""
    yield from (f"<details><summary>{plain(summary)}</summary>", "", *lines, "", "</details>", "")


def code(language: str, text: str) -> list[str]:
    """Return the lines of a block of code."""
    return [f"```{language}", text.strip().replace("```", "'''"), "```"]
