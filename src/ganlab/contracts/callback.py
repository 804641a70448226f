"""The run as callbacks and loggers see it, and the results that they leave for its last lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ganlab.contracts.plan import Progress
from ganlab.core.errors import GanlabError


@dataclass
class Ending:
    """The end of a session of training; callbacks fill it.

    Attributes:
        signal: The signal that asks for the end, or None.
        failure: The sentence of a callback or logger that failed on any rank, or None. The run ends after this
            iteration.
        grid: The last sample grid, or None.
        images_per_second: Of the session.
        broken: The iteration from which on the run's states are broken, as the guard says, or None: no state of it or
            after it is saved.
        suspected: The same, as the guard suspects: the newest checkpoint from before it is kept.
        back: Whether the run is to go on from before ``broken``.
        unsaved: The reason that the newest checkpoint is not on the disk, or None; known on the first rank.
    """

    signal: int | None = None
    failure: GanlabError | None = None
    grid: Path | None = None
    images_per_second: float = 0.0
    broken: int | None = None
    suspected: int | None = None
    back: bool = False
    unsaved: OSError | None = None

    @property
    def asked(self) -> bool:
        """Tell if the run is asked to end before it has its length."""
        return self.signal is not None or self.failure is not None or self.back


@dataclass(frozen=True)
class RunContext:
    """The run of a callback or a logger: the value of its constructor's parameter ``run``.

    Args:
        folder: The run. What is written goes below it.
        config: The complete configuration, as ``config.yaml`` has it.
        class_names: What the data calls its classes; empty where there are none.
        progress: What the run had done before this session; zero if it begins.
        checkpoint: The file that it goes on from; None if it begins.
        experiment: What is trained, and on what (`ganlab.assembly.experiment.Experiment`).

    Attributes:
        scalars: Those that `recording` read last, by name as in ``metrics.jsonl``; averages over ranks. The
            numbers of instruments are among them in the iterations in which they measure.
        measured: The numbers of instruments in this iteration, on the device and the same on all ranks; `recording`
            reads them with the scalars and empties it.
        intervals: Intervals in iterations, beside ``trainer.log_every_n_steps``, at which `recording` writes a line.
        scored: The first metric of the last score during training, by its name in loggers, the less the better; the
            same on all ranks. The guard takes it.
        events: What the guard has seen and done since the run began, see `ganlab.runs.guard.events`.
        ending: How the session ends.
    """

    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    progress: Progress = field(default_factory=Progress)
    checkpoint: Path | None = None
    experiment: Any = None
    scalars: dict[str, float] = field(default_factory=dict, init=False)
    measured: dict[str, Tensor] = field(default_factory=dict, init=False)
    intervals: list[int] = field(default_factory=list, init=False)
    scored: dict[str, float] = field(default_factory=dict, init=False)
    events: list[dict[str, Any]] = field(default_factory=list)
    ending: Ending = field(default_factory=Ending, init=False)
