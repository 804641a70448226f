"""Sweeps: Hydra's multirun lists the jobs, each job is its own process.

Hydra would run jobs in this process, and with several devices Lightning would start this command
line again for every rank, which would re-run the whole sweep. So each job is written to its run
folder as a resolved ``config.yaml`` and started from there by ``ganlab train FOLDER``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import DictConfig

from ganlab.config import catalog, command_line, compose
from ganlab.core import json_lines, streams
from ganlab.core.errors import GanlabError, sentence
from ganlab.core.stop_signals import WATCH, handled_signals
from ganlab.runs import fine_tuning, run_folder

JOBS = "jobs.jsonl"  # in the folder of a sweep whose jobs run in other processes
_MOST = 10_000  # values of one option


class _Interrupted(BaseException):
    """Ends Hydra's loop over jobs, which continues after an `Exception`."""


@streams.tolerant()
def run(options: Sequence[str]) -> int:
    """Run every job of a sweep; return the exit code.

    Raises:
        GanlabError: Before any job starts, if a value of the sweep is wrong.
    """
    fine_tuning.inherited(options)  # refuses several runs to begin with
    parsed = command_line.parse(options)
    check(parsed)
    jobs: list[tuple[str, int | None]] = []
    interrupted: list[int] = []
    process = os.getpid()
    folder_of_sweep = _folder(parsed)
    elsewhere = folder_of_sweep / JOBS
    with suppress(OSError):
        elsewhere.unlink()

    def job(_: DictConfig) -> None:
        runtime = HydraConfig.get()
        name = str(runtime.job.override_dirname) or "the only job"
        folder = Path(runtime.runtime.output_dir)
        print(f"job {len(jobs)}: {name}", flush=True)
        here = os.getpid() == process
        if not here:  # hydra/launcher=joblib and the like; a job that is killed leaves no second line
            json_lines.append(elsewhere, [str(folder), None])
        try:
            _write(folder, runtime.overrides.task)
            code = _start(folder, interrupted)
        except GanlabError as error:  # Hydra would print a traceback
            print(f"ganlab: {error}", file=sys.stderr, flush=True)
            code = error.exit_code
        if here:
            jobs.append((str(folder), code))
        else:
            json_lines.append(elsewhere, [str(folder), code])
        if code in {128 + number for number in handled_signals()}:
            interrupted.append(code)
        if interrupted:
            raise _Interrupted

    argv, sys.argv = sys.argv, [sys.argv[0], "--multirun", *_lines(parsed, folder_of_sweep)]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors are raised; without it Hydra prints a traceback, and exits
    GlobalHydra.instance().clear()
    try:
        hydra.main(version_base="1.3", config_path=str(catalog.conf_dir()), config_name="train")(job)()
    except _Interrupted:
        pass
    except OSError as error:
        reason = error.strerror or error
        raise GanlabError(f"The sweep's folder {folder_of_sweep} cannot be written: {reason}.") from error
    except HydraException as error:
        raise GanlabError(f"The sweep cannot be run: {sentence(error)}") from error
    finally:
        sys.argv = argv
        os.environ.pop("HYDRA_FULL_ERROR", None)
    jobs += _read(elsewhere)
    if not jobs and not interrupted:
        raise GanlabError("The sweep has no jobs: one of its values is an empty list.")
    return _summarise(jobs, interrupted)


def _write(folder: Path, words: Sequence[str]) -> None:
    config = compose.read(words, fine_tuning.inherited(words))
    run_folder.write_config(folder, replace(config, run=replace(config.run, dir=str(folder))))


def check(parsed: Sequence[Override]) -> None:
    """Compose each value of the sweep once, so that a typo in the last job stops the first.

    Raises:
        GanlabError: If a value is wrong.
    """
    values = {o.get_key_element(): _values(o) for o in parsed if _enumerable(o)}
    own_sweeper = any(o.get_key_element() == "hydra/sweeper" for o in parsed)
    for override in parsed:
        if override.is_interval_sweep() and not own_sweeper:
            raise GanlabError(
                f"{override.input_line}: an interval is for a sweeper that searches it (hydra/sweeper=optuna, as its "
                f"package offers it); name the values, as {override.get_key_element()}=0.1,0.3,1."
            )
        if isinstance(glob := override.value(), Glob):
            values[override.get_key_element()] = _matching(override, glob)
    first = {key: found[0] for key, found in values.items() if found}
    trials = [first] + [{**first, key: value} for key, found in values.items() for value in found[1:]]
    for trial in trials:
        lines = [
            f"{o.get_key_element()}={trial[o.get_key_element()]}" if o.get_key_element() in trial else str(o.input_line)
            for o in parsed
            if o.get_key_element() in trial or not o.is_sweep_override()
        ]
        compose.read(lines, fine_tuning.inherited(lines))


def _values(override: Override) -> list[str]:
    found = list(islice(override.sweep_string_iterator(), _MOST + 1))
    if not 0 < len(found) <= _MOST:
        raise GanlabError(f"{override.input_line} has {'no values' if not found else f'more than {_MOST:,} values'}.")
    return found


def _matching(override: Override, glob: Glob) -> list[str]:
    """The choices that a pattern such as ``loss=glob(wgan*)`` names."""
    group = override.get_key_element()
    known = [choice.name for choice in catalog.choices(group.partition("/")[0])]
    found = [str(name) for name in glob.filter(known)]
    if not found:
        raise GanlabError(f"{override.input_line} matches nothing. Known: {', '.join(known) or catalog.NONE}.")
    return found


def _enumerable(override: Override) -> bool:
    """Tell if the values can be listed before Hydra runs: those of an interval or a glob cannot."""
    return override.is_sweep_override() and override.is_discrete_sweep() and not isinstance(override.value(), Glob)


def _folder(parsed: Sequence[Override]) -> Path:
    given = [str(o.value()) for o in parsed if o.get_key_element() == "run.dir"]
    default = datetime.now().strftime("sweeps/%Y-%m-%d_%H-%M-%S")
    return Path(os.path.expanduser(given[-1] if given else default)).absolute()


def _lines(parsed: Sequence[Override], folder: Path) -> list[str]:
    """Options as Hydra takes them; ``run.dir`` is the sweep's folder."""
    lines = [f"hydra.sweep.dir='{folder}'"]
    fixed = [o.key_or_group for o in parsed if not o.is_sweep_override()]
    if fixed:  # jobs have the names of the options that vary
        lines.append(f"hydra.job.config.override_dirname.exclude_keys=[{','.join(repr(key) for key in fixed)}]")
    for override in parsed:
        if override.get_key_element() != "run.dir":
            lines.append(command_line.open_line(override))
    return lines


def _read(path: Path) -> list[tuple[str, int | None]]:
    """Read the outcomes of jobs that ran in other processes; one that began and did not end has no exit code."""
    lines = json_lines.read(path) if path.exists() else ()
    return list({folder: (folder, code) for _, (folder, code) in lines}.values())


def _start(folder: Path, interrupted: list[int]) -> int:
    """Run a job to its end; pass signals on to it, and note them.

    The job has a session of its own, so that a terminal sends Ctrl-C to the sweep alone: the job would otherwise get it
    twice, and end at once.
    """
    file = str(Path(__file__).parents[1] / "__main__.py")  # not -m: it would import modules of the current folder
    process = subprocess.Popen([sys.executable, file, "train", str(folder)], start_new_session=True)

    def end(number: int) -> None:
        for _ in range(2):
            process.send_signal(number)
            time.sleep(0.1)

    WATCH.at_once.append(end)
    try:
        with WATCH.finishing():
            while True:
                try:
                    code = process.wait()
                    return 128 - code if code < 0 else code  # as a shell numbers processes that a signal killed
                except (KeyboardInterrupt, SystemExit) as error:
                    raised = getattr(error, "code", None)  # 143 of SIGTERM
                    interrupted.append(raised if isinstance(raised, int) else 128 + signal.SIGINT)
                    process.terminate()
    finally:
        WATCH.at_once.remove(end)


def _summarise(jobs: Sequence[tuple[str, int | None]], interrupted: Sequence[int]) -> int:
    failed = [(name, code) for name, code in jobs if code != 0]
    print(
        f"{len(jobs) - len(failed)} of {len(jobs)} jobs finished."
        + (" The sweep was interrupted." if interrupted else "")
    )
    for name, code in jobs:
        print(f"  {'done  ' if code == 0 else 'killed' if code is None else f'exit {code}'}  {name}")
    if interrupted:
        return interrupted[0]
    return 1 if failed else 0
