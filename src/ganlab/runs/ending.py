"""How a session of training ended, and what is said of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganlab.engine.module import GANModule
from ganlab.runs import checkpoints, run_folder


@dataclass
class Outcome:
    """How a session ended.

    Args:
        folder: The run.
        grid: The last sample grid, or None.
        images_per_second: Of the session.
        signal: The signal that ended it, or None.
        unsaved: Why its last checkpoint is not on the disk, as a sentence, or None.
    """

    folder: Path
    grid: Path | None
    images_per_second: float
    signal: int | None
    unsaved: str | None = None

    @property
    def exit_code(self) -> int:
        if self.unsaved is not None:
            return 1
        return 0 if self.signal is None else 128 + self.signal


def say(outcome: Outcome, module: GANModule, config: Mapping[str, Any], failure: OSError | None) -> Outcome:
    """Print why the run ended where that is news, how it is continued, and where it is; what is lost comes last.

    Args:
        failure: Why the last checkpoint is not on the disk, or None.

    Returns:
        The outcome with what is lost.
    """
    reason = _reason(outcome, module, config)
    if reason is not None:
        print(reason)
    if outcome.grid is not None:
        print(f"samples: {outcome.grid}")
    print(
        f"run: {outcome.folder} ({module.progress.kimg:.1f} kimg, {outcome.images_per_second:.0f} images/s)",
        flush=True,
    )
    if failure is None:
        return outcome
    lost = (
        f"the last checkpoint, of iteration {module.progress.iteration}, is not on disk ({failure.strerror or failure})"
    )
    if (outcome.folder / run_folder.CHECKPOINTS / checkpoints.LAST).is_file():
        remedy = f"an earlier one is, so make room and repeat the rest with `ganlab resume {outcome.folder}`."
    else:
        remedy = f"nor is any other, so make room and start the run again with `ganlab train {outcome.folder}`."
    sentence = f"The run ended, but {lost}: {remedy}"
    print(f"ganlab: {sentence}", file=sys.stderr, flush=True)
    return replace(outcome, unsaved=sentence)


def _reason(outcome: Outcome, module: GANModule, config: Mapping[str, Any]) -> str | None:
    """Why a run ended before its length, if it did."""
    max_kimg, max_steps = config["run"]["max_kimg"], config["trainer"].get("max_steps", -1)
    if outcome.signal is not None:
        return (
            f"Stopped by {signal.Signals(outcome.signal).name} after iteration {module.progress.iteration}. "
            f"Continue with: ganlab resume {outcome.folder}"
        )
    if max_kimg is not None and module.progress.iteration == max_steps and module.progress.kimg < max_kimg:
        return (
            f"trainer.max_steps={max_steps} ended the run before run.max_kimg={max_kimg:g}. "
            f"Continue with: ganlab resume {outcome.folder} trainer.max_steps=-1"
        )
    return None
