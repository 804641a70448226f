"""A job of a sweep: from its line in the record to a run folder, in a process of its own.

`train` is what Hydra's launchers call, in whatever process they run it; `Play` is below it, and is all that ganlab's
own launcher needs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ganlab.config import code_words, compose
from ganlab.config import configuration as configurations
from ganlab.config.configuration import Config
from ganlab.core import code_files, files, stop_signals, tie
from ganlab.core.errors import GanlabError
from ganlab.core.stop_signals import WATCH, handled_signals
from ganlab.evaluation import protocol
from ganlab.runs import inherited, run_folder
from ganlab.runs.sweeps import devices, objective, words
from ganlab.runs.sweeps.objective import Objective
from ganlab.runs.sweeps.record import DONE, FAILED, PRUNED, STOPPED, Job, Sweep
from ganlab.runs.sweeps.words import Words

OUTPUT = "output.txt"  # in the run folder: what the job printed
# what a launcher, or a run on several machines, says about its own processes: a job's are its own
_OF_RANKS = (
    "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID",
)  # fmt: skip
_POLL_SECONDS = 1.0
_TAIL_BYTES = 65_536
_COMPOSING = threading.Lock()  # Hydra composes for one thread at a time


class JobFailedError(GanlabError):
    """A job of a sweep has failed; its sentence is in the record."""

    exit_code = 1


@dataclass(frozen=True)
class Outcome:
    """The end of a job.

    Args:
        job: Its line in the record.
        score: Its objective, or None.
        code: The exit code of its process; 0 if none was started.
    """

    job: Job
    score: Objective | None = None
    code: int = 0

    @property
    def interruption(self) -> int | None:
        """The exit code of a job that a signal stopped; None for others."""
        stopped = self.job.state != PRUNED and self.code in {128 + number for number in handled_signals()}
        return self.code if stopped else None


def train(config: DictConfig) -> float | None:
    """Train one job of a sweep: Hydra's task function, in any process of any launcher.

    Args:
        config: Hydra's; what the job needs is in the sweep's folder, and in Hydra's own part.

    Returns:
        The objective, or None where it was not asked for.

    Raises:
        JobFailedError: If it failed.
        KeyboardInterrupt: If a signal stopped it.
    """
    hydra = HydraConfig.get()
    code = config.get(code_files.OPTION) or {}
    with code_files.session():
        code_files.allow(code.get("paths") or (), accepting=bool(code.get("accepts")))
        sweep = Sweep.read(Path(hydra.sweep.dir).parent)
        number = int(hydra.job.num)
        sweep.add([(number, words.values(hydra.overrides.task))])
        outcome = Play(sweep, number, devices.environment(sweep.threads), far=True).run()
    if outcome.interruption is not None:
        raise KeyboardInterrupt  # Hydra goes on after an Exception
    return result(outcome)


def result(outcome: Outcome) -> float | None:
    """The objective of a job that ended well.

    Raises:
        JobFailedError: If it did not.
    """
    job = outcome.job
    if job.state not in (DONE, PRUNED):
        raise JobFailedError(f"Job {job.number} ({job.name}): {job.error or job.state}.")
    return job.objective


def composed(parsed: Words, values: Mapping[str, str]) -> Config:
    """The configuration of a run with these values, key -> value, of what the sweep varies.

    Raises:
        GanlabError: If they are wrong, or do not go together.
    """
    typed = parsed.of_job(values)
    with _COMPOSING:
        return compose.read(typed, inherited.options(typed))


def configuration(sweep: Sweep, job: Job) -> Config:
    """The configuration of a job.

    Raises:
        GanlabError: If its values do not go together.
    """
    config = composed(sweep.parsed, job.values)
    return replace(config, run=replace(config.run, dir=str(sweep.run_folder(job))))


class Play:
    """A job from its start to its end; another thread may stop it in between.

    Args:
        number: Of the job; it must be in the record.
        environment: Of its process, in addition to this one's.
        far: Whether it is stopped by its line in the record, by a process that may be on another machine.
    """

    def __init__(
        self, sweep: Sweep, number: int, environment: Mapping[str, str] | None = None, far: bool = False
    ) -> None:
        self.sweep, self.number, self.far = sweep, number, far
        self.environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped_as: str | None = None
        self._printed_before = 0  # bytes of its output, by earlier processes

    def run(self) -> Outcome:
        """Do what is missing of the job: train, go on from a checkpoint, score, or nothing.

        Every error of the job itself is in the outcome, and in the record.
        """
        try:
            job = self._waited_for()
            if job.state in (DONE, PRUNED) or (self.far and job.state == STOPPED):  # stopped before it began
                return Outcome(job)
            if self._stopped_as == PRUNED:  # before it began
                return Outcome(self.sweep.ends(self.number, PRUNED))
            if self._stopped_as is not None or self._must_not_start():
                return Outcome(job)
            self.sweep.begins(self.number)
            return self._ended(*self._train(job))
        except GanlabError as error:
            print(f"job {self.number}: {error}", file=sys.stderr, flush=True)
            with suppress(GanlabError):  # a full disk
                return Outcome(self.sweep.ends(self.number, FAILED, error=str(error)), code=error.exit_code)
            return Outcome(Job(self.number, {}, "", FAILED, error=str(error)), code=error.exit_code)

    def stop(self, state: str = STOPPED) -> None:
        """End the job after its iteration, with a checkpoint; its state will be ``state`` (or ``pruned``)."""
        self._stopped_as = state
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Send a signal to the process of the job, if there is one."""
        if self._process is not None:
            with suppress(OSError):
                self._process.send_signal(number)

    def _waited_for(self) -> Job:
        """The job's line, after a process of a sweep that was killed has left its folder."""
        job = self.sweep.job(self.number)
        folder = self.sweep.run_folder(job)
        lock = FileLock(folder / run_folder.LOCK)
        if not os.path.isfile(folder / run_folder.LOCK):
            return job
        run_folder.refuse_links(folder)
        with suppress(OSError, NotImplementedError):  # a file system without locks
            said = False
            while self._stopped_as is None:
                try:
                    lock.acquire(timeout=0 if not said else 1)
                except TimeoutError:
                    if not said:
                        print(f"job {self.number}: waits for the process that trains in {folder} still.", flush=True)
                    said = True
                    continue
                lock.release()
                break
        return self.sweep.job(self.number)

    def _must_not_start(self) -> bool:
        """Tell if an earlier job has failed, and the sweep stops then."""
        return self.sweep.parsed.options.fail == "stop" and any(job.state == FAILED for job in self.sweep.jobs())

    def _train(self, job: Job) -> tuple[Job, Config, int]:
        """Run the processes of a job; return the exit code of the last one."""
        folder = self.sweep.run_folder(job)
        run_folder.refuse_links(folder)
        if (folder / run_folder.CONFIG).is_file() and run_folder.has_checkpoint(folder):
            config = run_folder.read_config(folder)
            code = 0 if _is_complete(folder, config) else self._process_of(folder, "resume")
        else:
            config = configuration(self.sweep, job)
            run_folder.write_config(folder, config)
            code = self._process_of(folder, "train")
        if code == 0 and self._must_be_scored(folder, config):
            code = self._process_of(folder, "evaluate", *objective.evaluation(config))
        return job, config, code

    def _must_be_scored(self, folder: Path, config: Config) -> bool:
        """Tell if a run that was not scored during training has no objective yet, and needs one."""
        parsed = self.sweep.parsed
        if config.evaluate.every_kimg is not None or not parsed.needs_objective:
            return False
        return objective.best(folder, config, parsed.options.objective) is None

    def _ended(self, job: Job, config: Config, code: int) -> Outcome:
        folder, parsed = self.sweep.run_folder(job), self.sweep.parsed
        score = None
        if code == 0 or self._stopped_as == PRUNED:
            score = objective.best(folder, config, parsed.options.objective)
        value = None if score is None else score.value
        error, state = None, DONE
        if self._stopped_as is not None and code != 0:
            state = self._stopped_as
        elif code in {128 + number for number in handled_signals()}:
            state = STOPPED
        elif code != 0:
            state, error = FAILED, _sentence(folder, code, self._printed_before)
        elif score is None and parsed.needs_objective:
            wanted = parsed.options.objective or protocol.metrics_of(config)[0]
            state, error, code = FAILED, f"It has no number for {wanted}, the objective of the sweep.", 1
        return Outcome(self.sweep.ends(self.number, state, value, error), score, code)

    def _process_of(self, folder: Path, command: str, *options: str) -> int:
        """Run ``ganlab COMMAND FOLDER`` to its end; return its exit code, as a shell numbers it.

        The process has a session of its own, so that a terminal sends Ctrl-C to the sweep alone: the job would
        otherwise get it twice, and end at once. It is tied to this one, see `ganlab.core.tie`.
        """
        components = configurations.component_names(run_folder.read_plain(folder))
        named = code_words.typed(name for _, name in components)
        with files.opened(folder / OUTPUT, "ab+") as output:
            self._printed_before = output.seek(0, os.SEEK_END)
            self._process = start(folder, command, [*options, *named], output, self.environment)
        if self._stopped_as is not None:  # in the meantime
            self.signal(signal.SIGTERM)
        WATCH.at_once.append(self._at_once)
        try:
            with WATCH.finishing():
                while True:
                    try:
                        code = self._process.wait(_POLL_SECONDS if self.far else None)
                        break
                    except subprocess.TimeoutExpired:
                        self._look()
                    except (KeyboardInterrupt, SystemExit):  # in the worker of a launcher: the terminal's Ctrl-C
                        self.stop()
            return 128 - code if code < 0 else code
        finally:
            WATCH.at_once.remove(self._at_once)
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None

    def _look(self) -> None:
        """Stop if the record says so."""
        state = self.sweep.job(self.number).state
        if self._stopped_as is None and state in (STOPPED, PRUNED):
            self.stop(state)

    def _at_once(self, number: int) -> None:
        for _ in range(2):
            self.signal(number)


def start(
    folder: Path, command: str, options: Sequence[str], output: object, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start ``ganlab COMMAND FOLDER OPTIONS``."""
    file = str(Path(__file__).parents[2] / "__main__.py")  # not -m: it would import modules of the current folder
    kept = {name: value for name, value in os.environ.items() if name not in _OF_RANKS}
    return subprocess.Popen(
        [sys.executable, file, command, str(folder), *options],
        stdin=subprocess.PIPE,
        stdout=output,  # type: ignore[call-overload]
        stderr=subprocess.STDOUT,
        env={**kept, **environment, tie.MARK: "1"},
        start_new_session=True,
    )


def _is_complete(folder: Path, config: Config) -> bool:
    """Tell if a run has reached its length: its process, or the sweep's, was killed after its last checkpoint."""
    from ganlab.runs import checkpoints, session

    _, checkpoint, _ = checkpoints.newest(folder / run_folder.CHECKPOINTS)
    try:
        session.refuse_finished(folder, config, checkpoint)
    except GanlabError:
        with run_folder.claimed(folder, again=True):  # no later code tidies up
            run_folder.clean(folder)
            checkpoints.settle(folder / run_folder.CHECKPOINTS, config.checkpoint.keep)
        return True
    return False


def _sentence(folder: Path, code: int, start: int) -> str:
    """The sentence with which a process ended: the last one of ganlab's that it printed."""
    path = folder / OUTPUT
    lines: list[str] = []
    with suppress(OSError), files.opened(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start if start <= size else 0, size - _TAIL_BYTES))  # its beginning may have been dropped
        lines = file.read().decode(errors="replace").splitlines()
    said = [line.removeprefix("ganlab: ") for line in lines if line.startswith("ganlab: ")]
    if code > 128:
        name = stop_signals.name(code - 128) if code - 128 in signal.valid_signals() else f"signal {code - 128}"
        memory = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"Its process was ended by {name}{memory}: see {files.typed(path)}."
    return said[-1] if said else f"Its process ended with exit code {code}: see {files.typed(path)}."
