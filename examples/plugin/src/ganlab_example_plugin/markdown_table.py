"""A table of numbers for a page or a pull request, a logger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers.logger import Logger

import ganlab


class MarkdownTable(Logger):
    """``metrics.md`` in the run: the numbers of the last logged iterations of this session, as a Markdown table.

    Only the first process of a run has loggers that write, so nothing needs to be asked here.

    Args:
        columns: The numbers that are wanted, by the beginnings of their names.
        rows: Logged iterations at most.

    Raises:
        ValueError: If no row is wanted.
    """

    def __init__(
        self,
        run: ganlab.RunContext,
        columns: tuple[str, ...] = ("kimg", "discriminator/adversarial", "generator/adversarial", "evaluation/"),
        rows: int = 20,
    ) -> None:
        super().__init__()
        if rows < 1:
            raise ValueError(f"rows must be at least 1, got {rows}")
        self.path, self.columns, self.rows = run.folder / "metrics.md", columns, rows
        self._numbers: dict[int, dict[str, float]] = {}

    @property
    def name(self) -> str:
        return "markdown_table"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *arguments: Any, **options: Any) -> None:
        """Keep nothing: ``config.yaml`` has the configuration."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        wanted = {name: value for name, value in metrics.items() if name.startswith(self.columns)}
        self._numbers.setdefault(step or 0, {}).update(wanted)
        for old in sorted(self._numbers)[: -self.rows]:
            del self._numbers[old]
        names = sorted({name for row in self._numbers.values() for name in row}, key=self._place)
        lines = [names, ["---:"] * len(names)]
        lines += [[f"{row[name]:.4g}" if name in row else "" for name in names] for row in self._numbers.values()]
        self.path.write_text("".join(f"| {' | '.join(cells)} |\n" for cells in lines))

    def _place(self, name: str) -> tuple[int, str]:
        """The order of ``columns``, and by name within one."""
        return next(number for number, start in enumerate(self.columns) if name.startswith(start)), name
