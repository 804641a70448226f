"""ganlab's own launcher: N jobs at a time on this machine, each GPU held by at most one of them.

Every job trains in a process of its own, see `ganlab.runs.sweeps.job`; a thread here waits for it. A sweeper that wants
jobs one by one submits them to a `Pool` and waits for the futures that it returns.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from types import TracebackType

from ganlab.core.errors import GanlabError
from ganlab.core.stop_signals import WATCH
from ganlab.runs.sweeps import devices
from ganlab.runs.sweeps.job import Outcome, Play, configuration
from ganlab.runs.sweeps.record import FAILED, PRUNED, Sweep

_POLL_SECONDS = 0.5  # a waiting main thread runs handlers of signals at least so often


class Interrupted(BaseException):
    """A signal has stopped the sweep; it passes through Hydra, which goes on after an `Exception`.

    Attributes:
        code: The exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Task(Future[Outcome]):
    """A job that waits or trains; its result is an `Outcome`, also of a job that failed."""

    def __init__(self, play: Play) -> None:
        super().__init__()
        self.play = play

    @property
    def number(self) -> int:
        return self.play.number

    def prune(self) -> None:
        """End the job early: its result comes after the iteration that it is in, and its state is ``pruned``."""
        self.play.stop(PRUNED)


class Pool:
    """Trains jobs, `Pool.size` at a time; leave its block to wait for all of them.

    A signal (an exception in the block) ends those that train after their iterations, with checkpoints, and starts no
    other; the block then raises `Interrupted`.

    Args:
        sweep: Whose jobs they are; they are in its record before they are submitted.
        size: Jobs at a time.
        gpus: What they share, as ``CUDA_VISIBLE_DEVICES`` has the names; empty: a CPU.
    """

    def __init__(self, sweep: Sweep, size: int, gpus: Sequence[str] = ()) -> None:
        self.sweep, self.size = sweep, size
        self._share = devices.Share(tuple(gpus))
        self._waiting: list[Task] = []
        self._running: list[Task] = []
        self._needs: dict[int, int] = {}
        self._lock = threading.RLock()
        self._ends: int | None = None  # the exit code of an interruption

    @classmethod
    def of(cls, sweep: Sweep) -> Pool:
        """A pool on this machine, as `sweep.jobs` asks for.

        Raises:
            GanlabError: If it asks for more than there is.
        """
        gpus = devices.gpus()
        trainers = [dict(configuration(sweep, job).trainer) for job in sweep.jobs()[:1]]
        needs = [devices.needed(trainer, len(gpus)) for trainer in trainers] or [min(1, len(gpus))]
        size = devices.at_a_time(sweep.parsed.options.jobs, needs, len(gpus), devices.cores())
        return cls(sweep, size, gpus if any(needs) and size > 1 else ())

    def __enter__(self) -> Pool:
        self._finishing = WATCH.finishing()
        self._finishing.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                code = getattr(error, "code", None)  # 143 of SIGTERM
                self.stop(code if isinstance(code, int) else 128 + signal.SIGINT)
            elif error is not None:
                self.stop(1)
            self.wait_for(self._tasks())
        finally:
            self._finishing.__exit__(None, None, None)
        if self._ends is not None and (error is None or isinstance(error, (KeyboardInterrupt, SystemExit))):
            raise Interrupted(self._ends) from error

    def submit(self, number: int) -> Task:
        """Train a job of the record as soon as there is room; do nothing for one that is done."""
        task = Task(self._new(number))
        with self._lock:
            if self._ends is None:
                self._waiting.append(task)
                self._start_fitting()
            else:
                task.cancel()
        return task

    def _new(self, number: int) -> Play:
        return Play(self.sweep, number)

    def wait_for(self, tasks: Sequence[Task]) -> None:
        """Wait until all of these have ended; the first signal ends them early."""
        while not all(task.done() for task in tasks):
            try:
                wait(tasks, timeout=_POLL_SECONDS)
            except (KeyboardInterrupt, SystemExit) as error:
                code = getattr(error, "code", None)
                self.stop(code if isinstance(code, int) else 128 + signal.SIGINT)

    def next_done(self, tasks: Sequence[Task], seconds: float) -> list[Task]:
        """Wait for the first of these to end, at most so long; return those that have ended."""
        end = time.monotonic() + seconds
        while not any(task.done() for task in tasks) and time.monotonic() < end:
            wait(tasks, timeout=min(_POLL_SECONDS, seconds), return_when=FIRST_COMPLETED)
        return [task for task in tasks if task.done()]

    def stop(self, code: int) -> None:
        """Start no other job, and end those that train after their iterations."""
        with self._lock:
            self._ends = self._ends or code
            for task in self._waiting:
                task.cancel()
            self._waiting.clear()
            for task in self._running:
                task.play.stop()

    def _tasks(self) -> list[Task]:
        with self._lock:
            return [*self._waiting, *self._running]

    def _start_fitting(self) -> None:
        while self._waiting and len(self._running) < self.size:
            place = devices.next_fitting([self._need(task) for task in self._waiting], len(self._share.free))
            if place is None:
                return
            self._start(self._waiting.pop(place))

    def _need(self, task: Task) -> int:
        """GPUs that a job takes of the shared ones."""
        if not self._share.all:
            return 0
        if task.number not in self._needs:
            try:
                trainer = configuration(self.sweep, self.sweep.job(task.number)).trainer
                need = devices.needed(trainer, len(self._share.all))
            except GanlabError:  # it will fail with this sentence
                need = 0
            self._needs[task.number] = min(need, len(self._share.all))
        return self._needs[task.number]

    def _start(self, task: Task) -> None:
        if not task.set_running_or_notify_cancel():
            return
        self._running.append(task)
        task.play.environment = {
            **devices.environment(self.sweep.threads),
            **self._share.take(task.number, self._need(task)),
        }
        threading.Thread(target=self._play, args=(task,), name=f"job {task.number}", daemon=True).start()

    def _play(self, task: Task) -> None:
        end: Callable[[], None]
        try:
            outcome = task.play.run()
        except BaseException as error:
            failure = error
            end = lambda: task.set_exception(failure)  # noqa: E731
        else:
            end = lambda: task.set_result(outcome)  # noqa: E731
            if outcome.interruption is not None and outcome.job.state not in (FAILED, PRUNED):
                self.stop(outcome.interruption)
        with self._lock:
            self._running.remove(task)
            self._share.give_back(task.number)
            self._start_fitting()
        end()
