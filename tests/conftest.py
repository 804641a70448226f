"""Shared fixtures: tiny runs in this process, and the installed command in others."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# before torch is imported: bit-equality is promised for one number of threads, also in the processes that tests
# start, and two test workers on two cores would fight over threads
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from support.runs import TINY, Command, Start, Train

from ganlab.core.stop_signals import handled_signals


def pytest_collection_finish() -> None:
    """Take thousands of tests and their modules out of what is searched for garbage: a twentieth of all time."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _one_thread_and_the_handlers_as_they_were() -> Iterator[None]:
    """Bit-equality is promised for the same number of threads; a command line may change signal handlers."""
    threads, handlers = torch.get_num_threads(), {n: signal.getsignal(n) for n in handled_signals()}
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def tables() -> None:
    """The tables of options are in the cache, and no command has to say that it makes them."""
    from ganlab.config import help_pages

    help_pages.train()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for distributions made by hand, beside which the cache has ganlab's own tables."""
    from ganlab.config import option_table
    from ganlab.core import registry

    option_table.read("loss", "hinge")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.forget()
    modules = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    monkeypatch.undo()
    registry.forget()


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """``train("loss=hinge", name="a")``: a tiny run in this process; returns its folder."""

    def start(*options: str, name: str = "run", steps: int = 4) -> Path:
        from ganlab.config import compose
        from ganlab.runs import session

        words = [*TINY, f"trainer.max_steps={steps}", f"run.dir={tmp_path / name}", *options]
        return session.start(compose.read(words)).folder

    return start


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny finished run of 4 iterations, checkpoints at 1, 2, 3 and 4; not to be changed."""
    from ganlab.config import compose
    from ganlab.runs import session

    folder = tmp_path_factory.mktemp("finished") / "run"
    words = [*TINY, "trainer.max_steps=4", "checkpoint.every_steps=1", "sample.every_steps=2", f"run.dir={folder}"]
    return session.start(compose.read(words)).folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of ``finished`` that a test may damage."""
    import shutil

    return Path(shutil.copytree(finished, tmp_path / "copied"))


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Start]:
    """``command("train", ...)``: starts the command line in a process; what is left at the end is killed."""
    started: list[Command] = []

    def start(*words: str, **environment: str) -> Command:
        started.append(Command(words, tmp_path, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; only root can have one."""
    disk = tmp_path / "small disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here (not root): a full disk is not tried")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
