"""A study of Optuna in a file of a sweep's folder: which values to try next, and which jobs to give up.

One trial is one job, and has its number. A trial stays open until its job has a result, so a study that goes on after
its process was killed, or in which jobs have failed, returns the open trials first. What is drawn for a trial depends
on the seed, its number and the results before it, never on what was drawn in this process: jobs that run one at a time
are those of a sweep that was not interrupted.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import optuna
from filelock import FileLock
from optuna.samplers import BaseSampler, GridSampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import Trial, TrialState

from ganlab.config.sections import Count, Whole
from ganlab.core import files
from ganlab.core.errors import GanlabError, sentence
from ganlab.runs.sweeps.search_space import Axis

FILE = "study.jsonl"  # in the folder of a sweep
_NAME = "sweep"
_TRIAL, _VALUE = 4, 5  # codes of lines in a journal of Optuna's: a new trial, a value of one


@dataclass(frozen=True)
class Draw:
    """The facts that a sampler draws a trial by.

    Args:
        seed: Of the sweep.
        startup_trials: So many random trials come before those that learn from them.
        axes: What is searched.
        number: Of the trial.
    """

    seed: int
    startup_trials: int
    axes: Sequence[Axis]
    number: int

    @property
    def own_seed(self) -> int:
        """Return a seed for this trial alone."""
        return int(np.random.SeedSequence([self.seed, self.number]).generate_state(1)[0])


class _Grid(GridSampler):
    """Optuna's, for jobs that are asked for one by one: it would stop a loop of Optuna's after the last one."""

    def __init__(self, draw: Draw) -> None:
        values = {axis.key: axis.values for axis in draw.axes}
        super().__init__(values, seed=draw.seed)
        self.size = math.prod(map(len, values.values()))

    def after_trial(self, study: object, trial: object, state: object, values: object) -> None:
        pass


# None is Optuna's CMA-ES: it keeps pickled Python objects in the study, and whoever opens a folder would execute them.
SAMPLERS: dict[str, Callable[[Draw], BaseSampler]] = {
    "tpe": lambda draw: TPESampler(seed=draw.own_seed, n_startup_trials=draw.startup_trials),
    "random": lambda draw: RandomSampler(seed=draw.own_seed),
    # both count the trials, so their seed is that of the sweep
    "qmc": lambda draw: QMCSampler(
        seed=draw.seed,
        scramble=True,
        independent_sampler=RandomSampler(seed=draw.own_seed),
        warn_independent_sampling=False,
    ),
    "grid": _Grid,
}


@dataclass(frozen=True)
class SearchOptions:
    """Options of the search, ``hydra.sweeper.OPTION``.

    Args:
        sampler: How values are chosen: tpe learns from the jobs before, qmc spreads them evenly, grid tries each once.
        seed: Of all that is drawn.
        startup_trials: Random jobs before the first that learns from others.
        prune: Give up jobs whose scores during training are worse than the median of those before.
        prune_startup_trials: No job is given up before so many have finished.
        prune_warmup_scores: No job is given up at its first scores, up to this one.
    """

    sampler: Literal["tpe", "random", "qmc", "grid"] = "tpe"
    seed: Whole = 0
    startup_trials: Count = 10
    prune: bool = True
    prune_startup_trials: Whole = 5
    prune_warmup_scores: Whole = 0


def make_sampler(options: SearchOptions, axes: Sequence[Axis], number: int) -> BaseSampler:
    """Return the sampler of a trial.

    Raises:
        GanlabError: If it cannot search this.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[options.sampler](Draw(options.seed, options.startup_trials, axes, number))


class Study:
    """The trials of a sweep.

    Args:
        folder: Of the sweep.
        axes: What is searched.
        options: How.

    Raises:
        GanlabError: If the file is none of this sweep's.
    """

    def __init__(self, folder: Path, axes: Sequence[Axis], options: SearchOptions) -> None:
        self.axes = axes
        self._path = folder / FILE
        self._sampler = partial(make_sampler, options, axes)
        median = optuna.pruners.MedianPruner(options.prune_startup_trials, options.prune_warmup_scores + 1)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with self._readable():
            _repair(self._path, len(axes))
            self._study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(self._path), _Lock(str(self._path)))),
                study_name=_NAME,
                pruner=median if options.prune else optuna.pruners.NopPruner(),
                load_if_exists=True,
            )

    def __len__(self) -> int:
        return len(self._study.get_trials(deepcopy=False))

    @property
    def is_exhausted(self) -> bool:
        """Tell if the grid has no other values."""
        sampler = self._sampler(0)
        return isinstance(sampler, _Grid) and len(self) >= sampler.size

    def open(self) -> Iterator[Trial]:
        """Yield the trials without a result, by number."""
        found = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in found:
            self._study.sampler = self._sampler(trial.number)
            yield Trial(self._study, trial._trial_id)

    def ask(self) -> Trial:
        """Begin a new trial."""
        self._study.sampler = self._sampler(len(self))
        return self._study.ask()

    def words(self, trial: Trial) -> dict[str, str]:
        """Return the values of a trial as they are typed, by key; those that are drawn already stay."""
        self._study.sampler = self._sampler(trial.number)
        with self._readable():
            return {axis.key: axis.word(trial._suggest(axis.key, axis.distribution)) for axis in self.axes}

    def report(self, trial: Trial, losses: Mapping[int, float]) -> None:
        """Take note of a job's scores so far.

        Args:
            losses: Number of the score, from 1 on -> what is minimized.
        """
        known = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        for step in sorted(set(losses) - set(known)):
            trial.report(losses[step], step)

    def is_hopeless(self, trial: Trial) -> bool:
        """Tell if the median rule gives up a job by its newest score."""
        return trial.should_prune()

    def tell(self, trial: Trial, loss: float | None) -> None:
        """End a trial.

        Args:
            loss: What is minimized; None: the job was given up.
        """
        state = TrialState.PRUNED if loss is None else TrialState.COMPLETE
        self._study.sampler = self._sampler(trial.number)
        self._study.tell(trial, loss, state)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise GanlabError(f"{self._path} cannot be opened: {sentence(error.strerror or error)}") from error
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, AssertionError) as error:
            raise GanlabError(
                f"{self._path} is not the study of this sweep ({type(error).__name__}): {sentence(error)} Start a new "
                f"sweep in another run.dir."
            ) from error


def _repair(path: Path, values: int) -> None:
    """Drop the torn line of a killed process, and a trial that had not all of its values: it is drawn again, alike.

    Args:
        values: Of a trial.
    """
    if not os.path.lexists(path):
        return
    lines = files.read(path).splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    codes = [json.loads(line)["op_code"] for line in lines]
    last = len(codes) - codes[::-1].index(_TRIAL) - 1 if _TRIAL in codes else len(codes)
    whole = codes[last:].count(_VALUE) >= values
    kept = iter(lines if whole else lines[:last])
    files.keep_lines(path, lambda line: line == next(kept, None))


class _Lock(JournalFileOpenLock):
    """A lock that ends with its process; Optuna's own outlives it for half a minute."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._own = FileLock(f"{path}.lock", thread_local=False)

    def acquire(self) -> bool:
        self._own.acquire()
        return True

    def release(self) -> None:
        self._own.release()
