"""A table of numbers for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.loggers.logger import Logger

from ganlab.contracts.callback import RunContext
from ganlab.core import files


class CSV(Logger):
    """``metrics.csv`` in the run: a row for each logged iteration, a column for each number.

    The first column counts real images; numbers of one iteration, scores too, are in one row. Rows after the checkpoint
    are dropped when a run is resumed.

    Args:
        separator: Between the columns of a row, one character.

    Raises:
        ValueError: If the separator is no single character, or one that numbers hold.
    """

    def __init__(self, run: RunContext, separator: str = ",") -> None:
        super().__init__()
        if len(separator) != 1 or separator.isalnum() or separator in ".-+\"'/_\r\n":
            raise ValueError(f"separator must be one sign that no number or name holds, got {separator!r}")
        self.path, self.separator = run.folder / "metrics.csv", separator
        self._columns: list[str] = []
        self._row: dict[str, Any] = {}
        self._last = run.progress.images_seen

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @property
    def experiment(self) -> None:
        """Begin the file, with the rows of the resumed run."""
        if self._columns:
            return
        try:
            text = files.read(self.path).decode(errors="replace")
        except FileNotFoundError:
            text = ""
        header, *rows = list(csv.reader(text.splitlines(), delimiter=self.separator)) or [["images_seen"]]
        self._columns = header
        self._write([row for row in rows if len(row) == len(header) and _number(row[0]) <= self._last])

    def log_hyperparams(self, *arguments: Any, **options: Any) -> None:
        """Keep nothing: ``config.yaml`` has the configuration."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self._row and self._row["images_seen"] != step:
            self.save()
        self._row.update({"images_seen": step, **metrics})

    def save(self) -> None:
        """Append the current row; a new number adds a column to all rows."""
        if not self._row:
            return
        row, self._row = self._row, {}
        new = [name for name in row if name not in self._columns]
        if new:
            rows = list(csv.reader(files.read(self.path).decode().splitlines(), delimiter=self.separator))[1:]
            self._columns = [*self._columns, *new]
            self._write([each + [""] * len(new) for each in rows])
        files.append(self.path, self._text([[row.get(name, "") for name in self._columns]]))

    def finalize(self, status: str) -> None:
        self.save()

    def _write(self, rows: Sequence[Sequence[Any]]) -> None:
        with files.whole(self.path) as file:
            file.write(self._text([self._columns, *rows]))

    def _text(self, rows: Sequence[Sequence[Any]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()


def _number(text: str) -> float:
    """The number that a cell holds; infinite: none."""
    try:
        return float(text)
    except ValueError:
        return float("inf")
