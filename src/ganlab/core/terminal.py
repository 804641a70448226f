"""Lines that fit the terminal; files and pipes get them whole."""

from __future__ import annotations

import shutil
import sys
import textwrap

LEAST = 40  # columns: narrower terminals break lines themselves


def columns(most: int) -> int:
    """Return the columns to write in: those of the terminal, 40 to ``most``; ``most`` in files and pipes."""
    return max(LEAST, min(most, shutil.get_terminal_size().columns)) if sys.stdout.isatty() else most


def folded(text: str, indent: int = 4) -> str:
    """Break lines that are longer than the terminal: between columns, or at a space; files and pipes get whole lines.

    Args:
        indent: Of what follows a break.
    """
    if not sys.stdout.isatty():
        return text
    width = max(LEAST, shutil.get_terminal_size().columns)
    return "\n".join(_fold(line, width, " " * indent) for line in text.split("\n"))


def _fold(line: str, width: int, indent: str) -> str:
    if len(line) <= width:
        return line
    gap = line.rfind("  ", 0, width)
    if line[: max(gap, 0)].strip():  # a row of a table: its last column goes below
        return f"{line[:gap].rstrip()}\n{_fold(indent + line[gap:].strip(), width, indent)}"
    options = {"replace_whitespace": False, "break_long_words": False, "break_on_hyphens": False}
    return "\n".join(textwrap.wrap(line, width, subsequent_indent=indent, **options))  # type: ignore[arg-type]
