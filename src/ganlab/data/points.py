"""Points of a file of the user's."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np

from ganlab.contracts.point_set import PointSet
from ganlab.core import files
from ganlab.core.errors import GanlabError, shortened
from ganlab.core.ranges import FilledPath

_BETWEEN = re.compile(r"[,;\t]")
_MOST = 2  # columns
_CLASS = "class"
_LARGEST = float(np.finfo(np.float32).max)


class Points(PointSet):
    """The rows of a CSV file: one number each, or two, between commas, semicolons or tabs.

    A first line without numbers is taken for names of the columns; a last column that it names ``class``, as `ganlab
    sample` writes it, and empty lines are left out. Networks see the numbers as they are, and learn best where their
    standard deviation is about 1.

    Args:
        path: The file.

    Raises:
        GanlabError: If it cannot be read, or a row is anything else.
    """

    def __init__(self, path: FilledPath) -> None:
        where = Path(os.path.expanduser(path))
        if os.path.isdir(where):
            raise GanlabError(f"{path} is a folder; set data.path to a CSV file of points.")
        if not os.path.exists(where):
            raise GanlabError(f"There is no file {path}; set data.path to a CSV file of points.")
        try:
            with files.of_user(where) as file:
                content = file.read()
            text = content.decode("utf-8-sig")
        except OSError as error:
            raise files.unreadable(where, error) from error
        except UnicodeDecodeError as error:
            raise GanlabError(f"data.path={path} is no text; give a CSV file of points.") from error
        super().__init__(_read(path, text))
        self._about = f"points {hashlib.blake2b(content, digest_size=16).hexdigest()}"

    def fingerprint(self) -> str:
        return self._about


def _read(path: str, text: str) -> np.ndarray:
    """Return the points (N, D) of a file."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip(" ,;\t")]
    rows = [[cell.strip() for cell in _BETWEEN.split(line)] for _, line in lines]
    header = rows[0] if rows and not any(map(_is_number, rows[0])) else []
    if header:
        lines, rows = lines[1:], rows[1:]
    if not rows:
        raise GanlabError(f"data.path={path} has no points: give one or two numbers a line.")
    classes = int(header[-1:] == [_CLASS])
    columns = len(header if classes else rows[0]) - classes
    if columns > _MOST:
        raise GanlabError(f"data.path={path} has {columns} columns, and points have one or two: leave the others out.")
    if columns < 1:
        raise GanlabError(f"data.path={path} has classes alone: give one or two numbers before the class.")
    for (number, line), row in zip(lines, rows, strict=True):
        if len(row) != columns + classes or not all(map(_is_number, row[:columns])):
            wanted = ("one number" if columns == 1 else "two numbers") + (" and a class" if classes else "")
            raise GanlabError(
                f"data.path={path}: line {number} must hold {wanted}, got {shortened(line.strip())!r}; correct it, or "
                f"remove it."
            )
    return np.array([row[:columns] for row in rows], dtype=np.float64)


def _is_number(cell: str) -> bool:
    """Tell if a text is a finite number in single precision."""
    try:
        return abs(float(cell)) <= _LARGEST
    except ValueError:
        return False
