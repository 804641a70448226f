"""``ganlab compare SWEEP`` and ``ganlab compare RUN RUN``: which configuration is better, and how sure."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ganlab.commands.coded import Coded
from ganlab.commands.command import AS_TYPED, PATH, Command, Word
from ganlab.core import traceback_file
from ganlab.core.errors import GanlabError

if TYPE_CHECKING:
    from ganlab.comparisons.groups import Wanted


@dataclass
class Compare(Coded, Command):
    """Compare the runs of a sweep, or of several: a row for each configuration, with the mean over
    its seeds, its interval, and the differences that a paired test over common seeds finds.

      ganlab compare sweeps/2026-11-21_10-00-00
      ganlab compare RUN RUN RUN by=reg metric=fid at=kimg:50 out=FOLDER

    Runs that were not scored are scored first, all under one protocol, each once. It writes
    report.html, a page, table.csv and table.md into the sweep's folder, and figures for a paper
    into the folder figures beside them.

    Args:
        by: options that make a row each, as by=reg,loss; null: all that vary, without the seed
        metric: numbers to compare, as metric=fid,recall: the first one orders the rows; null: all
        at: kimg:N: scores during training at N kimg; null: the best and the last checkpoint of each run
        protocol: a preset; null: that of the scores which all runs have, or else the data's own
        device: where runs that were not scored are scored: cpu, cuda, cuda:1, mps; auto: a GPU if there is one
        out: folder of the page and the tables; null: the sweep's own, or ./comparison
    """

    folders: Annotated[Sequence[str], Word("[SWEEP or RUN ...]", "folder")] = ()
    by: Annotated[str | None, AS_TYPED] = None
    metric: Annotated[str | None, AS_TYPED] = None
    at: Annotated[str | None, AS_TYPED] = None
    protocol: str | None = None
    device: str = "auto"
    out: Annotated[str | None, PATH] = None

    several_runs = True

    def __call__(self) -> int:
        if not self.folders:
            raise GanlabError("`ganlab compare` takes a sweep's folder, or run folders: ganlab compare SWEEP.")
        from ganlab.comparisons.groups import Wanted

        wanted = Wanted(_listed(self.metric), _kimg(self.at), self.protocol, self.device, _say)
        _compare(self.folders, _listed(self.by), wanted, self._out())
        return 0

    def _out(self) -> Path:
        if self.out is not None:
            return Path(os.path.expanduser(self.out)).absolute()
        from ganlab.comparisons import collected

        only = Path(os.path.expanduser(self.folders[0])).absolute()
        return only if len(self.folders) == 1 and collected.holds_runs(only) else Path("comparison").absolute()


def at_the_end(folder: Path) -> None:
    """Compare the runs of a sweep that has ended; a comparison that fails is a line, and the sweep's result stays."""
    from ganlab.comparisons.groups import Wanted

    try:
        _compare([str(folder)], (), Wanted(say=_say), folder)
    except GanlabError as error:
        _say(f"The runs are not compared: {error}")
    except Exception as error:
        path, _ = traceback_file.write(error, ["compare", str(folder)])
        _say(f"The runs are not compared; this is a bug of ganlab's, please report it with the traceback in {path}.")


def _compare(folders: Sequence[str], by: Sequence[str], wanted: Wanted, out: Path) -> None:
    from ganlab.comparisons import compare, report, tables
    from ganlab.core import files

    answer = compare.compare(folders, by, wanted)
    print(tables.terminal(answer))
    written = tables.write(answer, out)
    print(f"written: {', '.join(files.typed(path) for path in written)}", flush=True)
    print(f"to look at: {files.typed(report.write(answer, out)[0])}", flush=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _listed(text: str | None) -> list[str]:
    """Return the parts of a list with or without brackets."""
    return [] if text is None else [part.strip() for part in text.strip("[]'\"").split(",") if part.strip()]


def _kimg(text: str | None) -> float | None:
    if text is None:
        return None
    unit, _, amount = text.partition(":")
    try:
        kimg = float(amount)
    except ValueError:
        kimg = 0.0
    if unit != "kimg" or not kimg > 0:
        raise GanlabError(f"at={text} must be kimg:N with a positive N, as at=kimg:50.")
    return kimg
