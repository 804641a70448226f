"""The search of Hydra's sweeper ``optuna``: Optuna chooses the values of each job by the objectives of those before it.

Hydra's published sweeper needs an Optuna before 3, and waits for a batch of jobs. This one asks for the values of a job
as soon as there is room for it, and tells its objective as soon as it has ended.
"""

from __future__ import annotations

from pathlib import Path

from hydra.plugins.launcher import Launcher
from optuna.trial import Trial

from ganlab.config import schema
from ganlab.core.errors import GanlabError
from ganlab.runs import run_folder
from ganlab.runs.sweeps import objective, search_space
from ganlab.runs.sweeps.far import pool_of
from ganlab.runs.sweeps.launcher import Pool, Task
from ganlab.runs.sweeps.record import DONE, FAILED, PRUNED, Job, Sweep
from ganlab.runs.sweeps.search_space import Axis
from ganlab.runs.sweeps.study import SearchOptions, Study, make_sampler
from ganlab.runs.sweeps.words import Words, plain_key

OPTIONS = "hydra.sweeper."
_POLL_SECONDS = 1.0


def check(words: Words) -> None:
    """Refuse what cannot be searched.

    Raises:
        GanlabError: For wrong options, and values that the sampler cannot choose from.
    """
    _options_and_axes(words)


def search(folder: str, launcher: Launcher) -> None:
    """Run the jobs of a sweep.

    Args:
        folder: Hydra's, inside of the sweep's.
        launcher: What trains a job.

    Raises:
        GanlabError: If the study in the folder is not this sweep's.
    """
    sweep = Sweep.read(Path(folder).parent)
    options, axes = _options_and_axes(sweep.parsed)
    study = Study(sweep.folder, axes, options)
    with pool_of(sweep, launcher) as pool:
        _Search(sweep, study, pool).run()


def _options_and_axes(words: Words) -> tuple[SearchOptions, list[Axis]]:
    """Read the options of the search, and what it searches."""
    given = {key.rpartition(".")[2]: o.value() for o in words.hydra if (key := plain_key(o)).startswith(OPTIONS)}
    found, problems = schema.check(schema.options(SearchOptions), given, OPTIONS.rstrip("."))
    if problems:
        raise GanlabError(" ".join(problems))
    options, axes = SearchOptions(**found), search_space.axes(words.swept)
    make_sampler(options, axes, 0)
    return options, axes


class _Search:
    """One process's part of a search.

    Args:
        study: Says what to try.
        pool: Trains it.
    """

    def __init__(self, sweep: Sweep, study: Study, pool: Pool) -> None:
        self.sweep, self.study, self.pool = sweep, study, pool
        self.again = list(study.open())  # of a process that was killed, or failed
        self.options = sweep.parsed.options

    def run(self) -> None:
        """Run the jobs until there are enough."""
        trials: dict[Task, Trial] = {}
        while True:
            while len(trials) < self.pool.size and (trial := self._next()) is not None:
                self.sweep.add([(trial.number, self.study.words(trial))])
                trials[self.pool.submit(trial.number)] = trial
            if not trials:
                return
            for task in self.pool.next_done(list(trials), _POLL_SECONDS):
                trial = trials.pop(task)
                if task.cancelled():  # a signal has stopped the sweep
                    return
                self._tell(trial, task.result().job)
            for task, trial in trials.items():
                self.study.report(trial, self._losses(trial.number))
                if self.study.is_hopeless(trial):
                    task.prune()

    def _next(self) -> Trial | None:
        """Return the trial to run next: one that was begun before, or a new one; None if there are enough."""
        if self.options.fail == "stop" and any(job.state == FAILED for job in self.sweep.jobs()):
            return None
        if self.again:
            return self.again.pop(0)
        return None if len(self.study) >= self.options.trials or self.study.is_exhausted else self.study.ask()

    def _tell(self, trial: Trial, job: Job) -> None:
        """Tell what a job has reached; a trial whose job has failed stays open, and `ganlab resume` tries it again."""
        if job.state in (DONE, PRUNED):
            self.study.report(trial, self._losses(trial.number))
        if job.state == PRUNED:
            self.study.tell(trial, None)
        elif job.state == DONE:
            folder = self.sweep.run_folder(job)
            best = objective.best(folder, run_folder.read_config(folder), self.options.objective)
            if best is not None:
                self.study.tell(trial, best.loss)

    def _losses(self, number: int) -> dict[int, float]:
        """Return the scores of a job so far, by number from 1 on, as what is minimized."""
        folder = self.sweep.run_folder(self.sweep.job(number))
        scored = objective.during_training(folder, self.options.objective)
        return {place: score.loss for place, score in enumerate(scored, start=1)}
