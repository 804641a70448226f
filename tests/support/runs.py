"""Tiny runs: their options, the installed command in a process of its own, and what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch
from PIL import Image

from ganlab.core import run_files
from ganlab.runs import checkpoints, run_folder

# the smallest run: dcgan on the embedded digits, classes and all; an iteration takes some 15 ms
TINY = (
    "model=dcgan",
    "generator.width=4",
    "generator.latent_dim=8",
    "discriminator.width=4",
    "data.batch_size=8",
    "sample.count=10",
    "trainer.log_every_n_steps=1",
    "trainer.accelerator=cpu",
)


def picture(path: Path) -> Image.Image:
    """An image file, read and closed."""
    with Image.open(path) as image:
        image.load()
        return image


class Train(Protocol):
    """The fixture `train`: a tiny run in this process; returns its folder."""

    def __call__(self, *options: str, name: str = "run", steps: int = 4) -> Path: ...


class Start(Protocol):
    """The fixture `command`: starts the command line in a process."""

    def __call__(self, *words: str, **environment: str) -> Command: ...


class Command:
    """``ganlab WORDS`` in a process of its own."""

    def __init__(self, words: Sequence[str], folder: Path, **environment: str) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ganlab", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            start_new_session=True,
        )

    def wait_for(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Until something is true; fails with the output if the process ends before, or time runs out."""
        end = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                out, err = self.process.communicate()
                pytest.fail(f"the process ended or hung before the condition was true:\n{out}\n{err}")
            time.sleep(0.005)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """With the processes that it started: they would keep its output open."""
        os.killpg(self.process.pid, signal.SIGKILL)

    def end(self, seconds: float = 120) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            out, err = self.process.communicate()
            pytest.fail(f"the process did not end:\n{out}\n{err}")
        return self.process.returncode, out, err


def state(folder: Path, name: str = checkpoints.LAST) -> dict[str, Any]:
    """Everything of a checkpoint that the run goes on with."""
    checkpoint = checkpoints.load(folder / run_folder.CHECKPOINTS / name)
    kept = ("state_dict", "optimizer_states", "global_step")
    engine = {key: value for key, value in checkpoint["ganlab"].items() if key != "config"}
    return {**{key: checkpoint[key] for key in kept}, "ganlab": engine}


def assert_bit_equal(one: Any, other: Any, where: str = "") -> None:
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), f"{where} differs"
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_bit_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_bit_equal(a, b, f"{where}/{i}")
    else:
        assert one == other, where


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without the speed and the memory of a process, which no two runs share."""
    lines = [json.loads(line) for line in (folder / run_files.METRICS).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("images_per_second", "memory_mib")} for line in lines]
