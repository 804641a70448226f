"""The end of a session of training, and its last lines."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Timer

from ganlab.core import files, stop_signals
from ganlab.core.errors import GanlabError
from ganlab.engine.module import GameModule
from ganlab.runs import checkpoints, run_folder


@dataclass
class Outcome:
    """The end of a session.

    Args:
        folder: The run.
        grid: The last sample grid, or None.
        images_per_second: Of the session.
        signal: The signal that ended it, or None.
        unsaved: The reason that its last checkpoint is not on the disk, as a sentence, or None.
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


def keep_profile(profiler: Any, folder: Path) -> None:
    """Write the measurements of ``trainer.profiler`` into the run folder."""
    describe = profiler.describe

    def describe_in_file() -> None:
        report = profiler.summary()
        if report:
            try:
                files.write_text(folder / run_folder.PROFILE, report)
                print(f"profile: {files.typed(folder / run_folder.PROFILE)}")
            except GanlabError as error:
                print(error, file=sys.stderr)
        describe()  # drops the measurements

    profiler.describe = describe_in_file


def say(outcome: Outcome, module: GameModule, trainer: L.Trainer, failure: OSError | None) -> Outcome:
    """Print the reason that the run ended, the command to continue, its folder, and last a lost checkpoint.

    Args:
        failure: The error that kept the last checkpoint from the disk, or None.

    Returns:
        The outcome, with the lost checkpoint in ``unsaved``.
    """
    reason, folder = _reason(outcome, module, trainer), files.typed(outcome.folder)
    if reason is not None:
        print(reason)
    if outcome.grid is not None:
        print(f"samples: {files.typed(outcome.grid)}")
    print(
        f"run: {folder} ({module.progress.kimg:.1f} kimg, {outcome.images_per_second:.0f} images/s)",
        flush=True,
    )
    if failure is None:
        return outcome
    lost = (
        f"the last checkpoint, of iteration {module.progress.iteration}, is not on disk ({failure.strerror or failure})"
    )
    if (outcome.folder / run_folder.CHECKPOINTS / checkpoints.LAST).is_file():
        remedy = f"an earlier one is, so make room and repeat the rest with `ganlab resume {folder}`."
    else:
        remedy = f"nor is any other, so make room and start the run again with `ganlab train {folder}`."
    sentence = f"The run ended, but {lost}: {remedy}"
    print(f"ganlab: {sentence}", file=sys.stderr, flush=True)
    return replace(outcome, unsaved=sentence)


def _reason(outcome: Outcome, module: GameModule, trainer: L.Trainer) -> str | None:
    """Return the reason that a run ended early, or None."""
    options = module.training_options
    max_kimg, max_steps, folder = options.max_kimg, options.max_steps, files.typed(outcome.folder)
    if outcome.signal is not None:
        return (
            f"Stopped by {stop_signals.name(outcome.signal)} after iteration {module.progress.iteration}. "
            f"Continue with: ganlab resume {folder}"
        )
    if max_kimg is not None and module.progress.iteration == max_steps and module.progress.kimg < max_kimg:
        return (
            f"trainer.max_steps={max_steps} ended the run before run.max_kimg={max_kimg:g}. "
            f"Continue with: ganlab resume {folder} trainer.max_steps=-1"
        )
    timers = [timer for timer in trainer.callbacks if isinstance(timer, Timer)]  # type: ignore[attr-defined]
    if not options.ends(module.progress) and any(
        (left := t.time_remaining()) is not None and left <= 0 for t in timers
    ):
        return (
            f"trainer.max_time ended the run after iteration {module.progress.iteration}. "
            f"Continue for as long again with: ganlab resume {folder}"
        )
    return None
