"""Compare runs: from their folders to an answer."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ganlab.comparisons import answering, collected, scored, varied
from ganlab.comparisons.answer import Answer
from ganlab.reports.words import counted


def compare(
    words: Sequence[str | os.PathLike[str]],
    by: Sequence[str] = (),
    metrics: Sequence[str] = (),
    kimg: float | None = None,
) -> Answer:
    """Compare the runs of sweeps and run folders.

    Args:
        words: Folders.
        by: Keys of the rows; empty: all that vary.
        metrics: Numbers to compare, the one that orders the rows first; empty: all.
        kimg: Compare at this point of training; None: at its end.

    Raises:
        GanlabError: If there is nothing to compare, in one sentence.
    """
    runs = collected.runs(words)
    taken = scored.take(runs, metrics, kimg)
    found = varied.find(runs, by)
    title = f"{counted(len(runs), 'run')}, by {', '.join(found.by)}" if found.by else counted(len(runs), "run")
    return answering.answer(title, runs, found, taken)
