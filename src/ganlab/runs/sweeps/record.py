"""The folder of a sweep: its command line in ``sweep.yaml``, its jobs in ``sweep.jsonl``, and their run folders.

Whatever becomes of a sweep is in these files, and in no process's memory: jobs may run in any number of processes, on
any number of machines that see the folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

import ganlab
from ganlab.core import files, json_lines
from ganlab.core.errors import GanlabError, few
from ganlab.runs import plain_yaml, run_folder
from ganlab.runs.sweeps import words as of_words
from ganlab.runs.sweeps.words import Words

SWEEP, JOBS, LOCK = "sweep.yaml", "sweep.jsonl", ".lock"
HYDRA = ".hydra"  # what Hydra, its launchers and sweepers write
QUEUED, RUNNING, DONE, FAILED, STOPPED, PRUNED = "queued", "running", "done", "failed", "stopped", "pruned"
STATES = (QUEUED, RUNNING, DONE, FAILED, STOPPED, PRUNED)
_LOCK_SECONDS = 60.0
_MOST_BYTES = 150  # of the name of a run folder


@dataclass(frozen=True)
class Job:
    """A job of a sweep, a line of ``sweep.jsonl``.

    Args:
        number: From 0 on.
        values: What the sweep varies, key -> value, as one types them.
        folder: Its run folder, a name in the sweep's folder.
        state: ``queued``, ``running``, ``done``, ``failed``, ``stopped`` (by a signal: `ganlab resume` goes on with
            it), or ``pruned`` (ended early by a sweeper).
        objective: See `ganlab.runs.sweeps.objective`; None: not scored.
        error: The sentence of a failed job.
        started: When it began last, ISO 8601.
        ended: When it ended.
    """

    number: int
    values: Mapping[str, str]
    folder: str
    state: str = QUEUED
    objective: float | None = None
    error: str | None = None
    started: str | None = None
    ended: str | None = None

    @property
    def name(self) -> str:
        """``reg=sn seed=0``."""
        return " ".join(f"{key}={value}" for key, value in self.values.items()) or "the only job"


@dataclass(frozen=True)
class Sweep:
    """A sweep on the disk.

    Args:
        folder: Its folder.
        words: The words of its command line after ``-m``, without ``run.dir``.
        version: Of the ganlab that began it.
        started: When it began, ISO 8601.
        threads: Of each job on a CPU; None: as many as torch takes. A job that is resumed has as many as before.
        code: Hashes of the files of the user's own that it was started with, by their names.
    """

    folder: Path
    words: tuple[str, ...]
    version: str = ganlab.__version__
    started: str = field(default_factory=lambda: _now())
    threads: int | None = None
    code: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Sweep:
        """Read a sweep's ``sweep.yaml``.

        Raises:
            GanlabError: If there is none, or it is damaged.
        """
        path = folder / SWEEP
        try:
            found = plain_yaml.read(path, interpolations=True)
        except OSError as error:
            raise files.unreadable(path, error) from error
        except ValueError as error:
            raise GanlabError(f"{path} is no description of a sweep: {error}.") from error
        right = (
            isinstance(found, dict)
            and found.keys() <= {"words", "version", "started", "threads", "code"}
            and _is_texts(found.get("words"))
            and isinstance(found.get("code") or {}, dict)
            and _is_texts([*(found.get("code") or {}), *(found.get("code") or {}).values()])
        )
        threads = found.get("threads") if right else None
        if not right or not (threads is None or (type(threads) is int and threads > 0)):
            raise GanlabError(
                f"{path} is no description of a sweep: it must have the list `words`, as ganlab wrote it."
            )
        version, started = str(found.get("version")), str(found.get("started"))
        return cls(folder, tuple(found["words"]), version, started, threads, found.get("code") or {})

    def write(self) -> None:
        """Write ``sweep.yaml``.

        Raises:
            GanlabError: If it cannot be written.
        """
        content: dict[str, Any] = {
            "words": list(self.words),
            "version": self.version,
            "started": self.started,
            "threads": self.threads,
        }
        if self.code:
            content["code"] = dict(self.code)
        files.write_text(self.folder / SWEEP, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))

    @cached_property
    def parsed(self) -> Words:
        """The words, by their kind."""
        return of_words.split(self.words)

    def jobs(self) -> list[Job]:
        """Read all jobs, in the order of their numbers.

        Raises:
            GanlabError: If the file cannot be read, or holds anything but jobs.
        """
        path = self.folder / JOBS
        try:
            lines = list(json_lines.read(path))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise files.unreadable(path, error) from error
        found = [_job(path, number, line) for number, line in lines]
        if [job.number for job in found] != sorted({job.number for job in found}):
            raise GanlabError(f"{path}: the jobs are not in the order of their numbers. Bring back the file as it was.")
        return found

    def job(self, number: int) -> Job:
        """Read the job of a number.

        Raises:
            GanlabError: If there is none.
        """
        found = next((job for job in self.jobs() if job.number == number), None)
        if found is None:
            raise GanlabError(f"{self.folder / JOBS} has no job {number}.")
        return found

    def run_folder(self, job: Job) -> Path:
        return self.folder / job.folder

    def add(self, jobs: Sequence[tuple[int, Mapping[str, str]]]) -> list[Job]:
        """Add jobs by number and values, queued; those that are there stay as they are.

        Raises:
            GanlabError: If there is a job of that number with other values.
        """
        with self._locked():
            known = {job.number: job for job in self.jobs()}
            found = []
            for number, values in jobs:
                job = known.setdefault(number, Job(number, dict(values), _folder_name(number, values)))
                if job.values != values:
                    raise GanlabError(
                        f"Job {number} of {self.folder} is {job.name}, and not {Job(number, values, '').name}: another "
                        f"version of ganlab or of the sweeper has ordered the jobs. Start a new sweep."
                    )
                found.append(job)
            self._write(known.values())
        return found

    def update(self, number: int, **changes: Any) -> Job:
        """Change the line of a job; return it.

        Raises:
            GanlabError: If it cannot be written, or there is no such job.
        """
        with self._locked():
            jobs = {job.number: job for job in self.jobs()}
            if number not in jobs:
                raise GanlabError(f"{self.folder / JOBS} has no job {number}.")
            jobs[number] = replace(jobs[number], **changes)
            self._write(jobs.values())
        return jobs[number]

    def begins(self, number: int) -> Job:
        """Note that a job trains from now on."""
        return self.update(number, state=RUNNING, started=_now(), ended=None, error=None, objective=None)

    def ends(self, number: int, state: str, objective: float | None = None, error: str | None = None) -> Job:
        """Note how a job has ended."""
        return self.update(number, state=state, ended=_now(), objective=objective, error=error)

    def _write(self, jobs: Any) -> None:
        lines = [json.dumps(asdict(job), allow_nan=False) for job in sorted(jobs, key=lambda job: job.number)]
        files.write_text(self.folder / JOBS, "".join(f"{line}\n" for line in lines))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time change the record."""
        lock = FileLock(self.folder / HYDRA / "record.lock", timeout=_LOCK_SECONDS)
        try:
            (self.folder / HYDRA).mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise GanlabError(f"{self.folder / JOBS} is kept locked by another process.") from error
        except (OSError, NotImplementedError):  # a file system without locks, or full: writing will tell
            yield
            return
        try:
            yield
        finally:
            lock.release()


def is_sweep(folder: Path) -> bool:
    """Tell if a folder is a sweep's."""
    return os.path.isfile(folder / SWEEP)


def existing(folder: str | os.PathLike[str]) -> Path:
    """The folder of a sweep, without links.

    Raises:
        GanlabError: If it holds links, through which files would be written elsewhere.
    """
    path = Path(os.path.expanduser(folder)).absolute()
    for entry in (path / name for name in (SWEEP, JOBS, HYDRA, *_names(path))):
        if entry.is_symlink():
            raise GanlabError(
                f"{entry} is a link, and a sweep's files are in its folder: replace it by the file or folder itself "
                f"if you know where it comes from, or remove it."
            )
    return path


@contextmanager
def claimed(folder: Path, again: bool = False) -> Iterator[Path]:
    """Lock the folder of a sweep for this process; make it if it is new.

    Raises:
        GanlabError: If another process has it, it cannot be made, or, unless ``again``, holds anything.
    """
    if not again:
        _refuse_occupied(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GanlabError(f"The sweep's folder {folder} cannot be made: {error.strerror or error}.") from error
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise GanlabError(f"Another process runs the sweep {files.typed(folder)}: wait for it or stop it.") from error
    except (OSError, NotImplementedError):  # a file system without locks, or full
        pass
    try:
        yield folder
    finally:
        with suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()


def _refuse_occupied(folder: Path) -> None:
    typed = files.typed(folder)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise GanlabError(f"run.dir={folder} is a file; give a folder that does not exist yet.")
    found = _names(folder)
    if is_sweep(folder) or os.path.isfile(folder / run_folder.CONFIG):
        what = "sweep" if is_sweep(folder) else "run"
        raise GanlabError(f"run.dir={folder} holds a {what} already: continue it with `ganlab resume {typed}`.")
    if found:
        raise GanlabError(
            f"run.dir={folder} holds other things ({few(found)}): give a folder that is empty or does not exist yet."
        )


def _names(folder: Path) -> list[str]:
    """The entries of a sweep's folder that are no temporary files, sorted."""
    if not os.path.isdir(folder):
        return []
    own = (LOCK, HYDRA)  # they may be there before sweep.yaml is
    return sorted(name for name in os.listdir(folder) if name not in own and not files.is_part(name))


def _job(path: Path, number: int, line: Any) -> Job:
    """Read a line, which somebody may have altered."""
    try:
        job = Job(**line)
        right = type(job.number) is int and job.number >= 0 and job.state in STATES
        right = right and isinstance(job.values, dict) and _is_texts([*job.values, *job.values.values()])
        right = right and (job.objective is None or json_lines.is_number(job.objective))
        right = right and all(text is None or isinstance(text, str) for text in (job.error, job.started, job.ended))
        right = right and re.fullmatch(rf"{job.number}(_[^/\\\0]*)?", job.folder) is not None  # stays in the folder
    except TypeError:
        right = False
    if not right:
        raise GanlabError(
            f"{path}: line {number} is no job of a sweep. Remove the line: `ganlab resume` does it again."
        )
    return job


def _folder_name(number: int, values: Mapping[str, str]) -> str:
    """``3_reg-sn_seed-0``: without signs that a path or a shell reads."""
    parts = [str(number)]
    for key, value in values.items():
        clean = re.sub(r"[^\w.,+-]+", "-", value.strip("[]{}'\"")).strip("-")
        name = re.sub(r"[^\w.+-]+", "-", key)
        parts.append(f"{name}-{clean}")
    return "_".join(parts).encode()[:_MOST_BYTES].decode(errors="ignore")


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
