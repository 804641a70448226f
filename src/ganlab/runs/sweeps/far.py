"""Jobs one by one by any of Hydra's launchers, for a sweeper that does not wait for a batch."""

from __future__ import annotations

import signal
import time

from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher

from ganlab.core.errors import sentence
from ganlab.runs.sweeps import plugins
from ganlab.runs.sweeps.job import JobFailedError, Outcome, Play
from ganlab.runs.sweeps.launcher import Pool, Task
from ganlab.runs.sweeps.record import DONE, FAILED, PRUNED, QUEUED, RUNNING, STOPPED, Sweep

_FIRST_SECONDS = 30.0


def pool_of(sweep: Sweep, launcher: Launcher) -> Pool:
    """The pool of ganlab's own launcher, or one that launches each job with another launcher."""
    return Pool.of(sweep) if sweep.parsed.launcher == plugins.OWN else FarPool(sweep, launcher)


class FarPool(Pool):
    """Launches each job from a thread of its own.

    Args:
        sweep: Whose jobs they are.
        launcher: One of Hydra's.
    """

    def __init__(self, sweep: Sweep, launcher: Launcher) -> None:
        known = plugins.KNOWN["launcher"].get(sweep.parsed.launcher, plugins.Plugin())
        super().__init__(sweep, 1 if known.here else sweep.parsed.options.jobs or 1)
        self._launcher = launcher
        self._has_begun = False

    def submit(self, number: int) -> Task:
        """Train a job as soon as there is room.

        The first returns when it trains, so that the launcher makes ready, as Ray starts its processes, in one thread.
        """
        task = super().submit(number)
        end = time.monotonic() + _FIRST_SECONDS
        while not self._has_begun and not task.done() and time.monotonic() < end:
            time.sleep(0.1)
            self._has_begun = self.sweep.job(number).state != QUEUED
        self._has_begun = True
        return task

    def _new(self, number: int) -> Play:
        return _Launch(self.sweep, number, self._launcher)


class _Launch(Play):
    """A job that a launcher trains, in any process of any machine."""

    def __init__(self, sweep: Sweep, number: int, launcher: Launcher) -> None:
        super().__init__(sweep, number)
        self._launcher = launcher

    def run(self) -> Outcome:
        """Launch the job and wait for it; what becomes of it is in the record."""
        job = self.sweep.job(self.number)
        if job.state in (DONE, PRUNED) or self._stopped_as is not None:
            return Outcome(job)
        words = [f"++{key}={value}" for key, value in job.values.items()]
        lost = "It was not trained."
        try:
            (returned,) = self._launcher.launch([words], initial_job_idx=self.number)
            if returned.status == JobStatus.FAILED and not isinstance(returned._return_value, JobFailedError):
                lost = sentence(returned._return_value)
        except Exception as error:  # the launcher's own: its worker was killed, its cluster is gone
            lost = sentence(error)
        job = self.sweep.job(self.number)
        if job.state in (QUEUED, RUNNING):
            job = self.sweep.ends(self.number, FAILED, error=lost)
        return Outcome(job, code=128 + signal.SIGTERM if job.state == STOPPED else int(job.state == FAILED))

    def stop(self, state: str = STOPPED) -> None:
        """Ask whoever trains the job to end it: he reads its line in the record."""
        self._stopped_as = state
        if self.sweep.job(self.number).state in (QUEUED, RUNNING):
            self.sweep.update(self.number, state=state)
