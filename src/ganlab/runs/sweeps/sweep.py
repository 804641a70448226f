"""Starting a sweep, and going on with one: ``ganlab train -m`` and ``ganlab resume SWEEP``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from hydra import version
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from ganlab.core import code_files, files, streams
from ganlab.core.errors import GanlabError, sentence
from ganlab.runs.sweeps import devices, plan, plugins, record, table, words
from ganlab.runs.sweeps import job as of_job
from ganlab.runs.sweeps.job import JobFailedError, train
from ganlab.runs.sweeps.launcher import Interrupted
from ganlab.runs.sweeps.record import DONE, FAILED, HYDRA, PRUNED, QUEUED, RUNNING, STOPPED, Job, Sweep

CONF = Path(__file__).parent / "conf"


@streams.tolerant()
def start(typed: Sequence[str], ended: Callable[[Path], None] = lambda folder: None) -> int:
    """Run every job of a sweep; return the exit code.

    Args:
        typed: The words after ``ganlab train -m``.
        ended: Is given the sweep's folder when all jobs have been run, unless a signal interrupted it.

    Raises:
        GanlabError: Before any job starts, if a value of the sweep is wrong.
    """
    settled = plan.settled(typed)
    parsed = words.split(settled)
    plan.check(parsed)
    default = datetime.now().strftime("sweeps/%Y-%m-%d_%H-%M-%S")
    folder = Path(os.path.expanduser(parsed.folder or default)).absolute()
    kept = [word for word in settled if not word.startswith("run.dir=")]
    with record.claimed(folder):
        hashes = {file.name: file.hash for file in code_files.allowed().files.values()}
        sweep = Sweep(folder, tuple(kept), threads=_threads(parsed), code=hashes)
        sweep.write()
        code = _run(sweep)
    if code in (0, 1):
        ended(folder)
    return code


@streams.tolerant()
def resume(folder: Path, changes: Sequence[str], ended: Callable[[Path], None] = lambda folder: None) -> int:
    """Finish what is missing of a sweep; return the exit code.

    Finished jobs are kept, those that were killed go on from their checkpoints, failed ones are tried again.

    Args:
        changes: Words that change how it runs, see `ganlab.runs.sweeps.words.with_changes`.
        ended: See `start`.

    Raises:
        GanlabError: If the record is damaged, or a word of it is not trusted.
    """
    sweep = Sweep.read(record.existing(folder))
    changed = words.with_changes(sweep.words, changes)
    code_files.refuse_changed([f"{name}:C" for name in sweep.code], sweep.code, files.typed(folder))
    parsed = words.split(changed)
    plan.check(parsed)
    with record.claimed(folder, again=True):
        jobs = sweep.jobs()
        expected = len(plan.jobs(parsed)) or (parsed.options.trials if parsed.searches else 1)
        if len(jobs) >= expected and all(job.state in (DONE, PRUNED) for job in jobs):
            print(f"The sweep {files.typed(folder)} is complete: all of its {len(jobs)} jobs are done.")
            ended(folder)  # the sweep may have been killed during that
            return 0
        files.clean(folder)
        if failed := [job for job in jobs if job.state == FAILED]:
            print(f"{len(failed)} failed job{'s are' if len(failed) > 1 else ' is'} tried again.")
        for job in jobs:
            if job.state not in (DONE, PRUNED):
                sweep.update(job.number, state=QUEUED, error=None)
        sweep = replace(sweep, words=tuple(changed))
        sweep.write()
        code = _run(sweep)
    if code in (0, 1):
        ended(folder)
    return code


def _run(sweep: Sweep) -> int:
    """Run the jobs by Hydra's sweeper and launcher, and print what became of them."""
    parsed = sweep.parsed
    sweep.add(list(enumerate(plan.jobs(parsed))))
    print(f"sweep: {files.typed(sweep.folder)}", flush=True)
    code: int | None = None
    lost: str | None = None
    try:
        with table.shown(sweep):
            _multirun(sweep)
    except JobFailedError:  # it is in the record
        pass
    except Interrupted as interrupted:
        code = interrupted.code
    except (KeyboardInterrupt, SystemExit) as error:  # under another launcher
        raised = getattr(error, "code", None)
        code = raised if isinstance(raised, int) else 130
    except HydraException as error:
        raise GanlabError(f"The sweep cannot be run: {sentence(error)}") from error
    except Exception as error:
        if isinstance(error, OSError) and files.is_full(error):  # of a file that Hydra writes
            raise files.unwritable(sweep.folder, error) from error
        if parsed.launcher == plugins.OWN or isinstance(error, GanlabError):
            raise
        lost = f"hydra/launcher={parsed.launcher} has failed: {sentence(error)}"
        print(f"ganlab: {lost}", file=sys.stderr, flush=True)
    for job in sweep.jobs():
        if job.state == RUNNING:  # its process, or that of its launcher, was killed
            with suppress(GanlabError):  # a full disk
                sweep.ends(job.number, STOPPED, error=lost)
    return _summarise(sweep, sweep.jobs(), code)


def _multirun(sweep: Sweep) -> None:
    parsed = sweep.parsed
    folder = QuotedString(str(sweep.folder / HYDRA), Quote.double).with_quotes()
    lines = [f"hydra.sweep.dir={folder}", *plan.launching(parsed), *plan.for_hydra(parsed), *_code()]
    GlobalHydra.instance().clear()
    version.setbase("1.3")
    search_path = ConfigSearchPathImpl()  # without the groups of runs: of their options Hydra has the values alone
    for provider, path in (("hydra", "pkg://hydra.conf"), ("main", f"file://{CONF}"), ("schema", "structured://")):
        search_path.append(provider, path)
    hydra = Hydra.create_main_hydra2("ganlab", search_path)
    try:
        hydra.multirun(config_name="sweep", task_function=train, overrides=lines)
    finally:
        GlobalHydra.instance().clear()


def _code() -> list[str]:
    """A word that tells the processes of jobs, which may be on other machines, the files that they may run."""
    now = code_files.allowed()
    paths = ",".join(QuotedString(str(f.path), Quote.double).with_quotes() for f in now.files.values())
    return [f"++{code_files.OPTION}={{paths:[{paths}],accepts:{str(now.accepts).lower()}}}"] if now.files else []


def _threads(parsed: words.Words) -> int | None:
    """Threads of each process of a job, which are kept for as long as the sweep lives: results depend on them."""
    launcher = plugins.KNOWN["launcher"].get(parsed.launcher)
    if os.environ.get(devices.THREADS) or devices.gpus() or launcher is None or not launcher.shares:
        return None
    jobs = parsed.options.jobs or 1
    several = [devices.processes(of_job.composed(parsed, values).trainer) for values in plan.jobs(parsed)[:1]]
    return devices.threads(jobs, max(several, default=1), devices.cores())


def _summarise(sweep: Sweep, jobs: Sequence[Job], code: int | None) -> int:
    if not jobs:
        raise GanlabError("The sweep has no jobs: one of its values is an empty list.")
    done = [job for job in jobs if job.state in (DONE, PRUNED)]
    print(f"{len(done)} of {len(jobs)} jobs finished." + (" The sweep was interrupted." if code is not None else ""))
    for job in jobs:
        scored = "" if job.objective is None else f"  {job.objective:g}"
        print(f"  {job.state:<7}  {job.folder}{scored}" + (f"  {job.error}" if job.error else ""))
    if len(done) < len(jobs):
        print(f"Continue with: ganlab resume {files.typed(sweep.folder)}", flush=True)
    if code is not None:
        return code
    return 0 if len(done) == len(jobs) else 1
