"""Sharing this machine's GPUs and processor cores among the jobs of a sweep."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ganlab.core.errors import GanlabError

VISIBLE = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"


def gpus() -> list[str]:
    """The GPUs of this machine that torch may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return named[:count] if len(named) >= count else [str(number) for number in range(count)]


def cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def needed(trainer: Mapping[str, Any], there: int) -> int:
    """Return how many of ``there`` GPUs a job needs; 0 if it trains on a CPU.

    Args:
        trainer: The ``trainer`` node of the job's configuration.
    """
    if not there or str(trainer.get("accelerator", "auto")) not in ("auto", "gpu", "cuda"):
        return 0
    devices = trainer.get("devices", 1)
    if isinstance(devices, (list, tuple)):
        return len(devices)
    text = str(devices).strip()
    if text in ("auto", "-1"):
        return there
    return int(text) if text.isdigit() else len([part for part in text.split(",") if part.strip()])


def processes(trainer: Mapping[str, Any]) -> int:
    """Return how many processes a job has on a CPU."""
    devices = str(trainer.get("devices", 1)).strip()
    return int(devices) if devices.isdigit() and int(devices) else 1


def names_gpus(trainer: Mapping[str, Any]) -> bool:
    """Tell if a job chooses its GPUs by their numbers, and not by how many it needs."""
    devices = trainer.get("devices", 1)
    return isinstance(devices, (list, tuple)) or "," in str(devices)


def at_a_time(jobs: int | None, needs: Sequence[int], there: int, processors: int) -> int:
    """Return how many jobs train at a time.

    Args:
        jobs: ``sweep.jobs``.
        needs: GPUs of a job, for each kind of job.
        there: GPUs of this machine.
        processors: Its cores.

    Raises:
        GanlabError: If the jobs would need more than there is.
    """
    on_gpus = [need for need in needs if need]
    if jobs is None:
        return max(1, there // min(on_gpus)) if on_gpus else 1
    if len(on_gpus) == len(needs) and on_gpus and jobs * min(on_gpus) > there:
        raise GanlabError(
            f"sweep.jobs={jobs} with {_gpus(min(on_gpus))} a job asks for {_gpus(jobs * min(on_gpus))}, and there "
            f"{'is 1' if there == 1 else f'are {there}'}: take sweep.jobs={max(1, there // min(on_gpus))}."
        )
    most = max(processors, 2)  # a sweep may be tried on a small machine
    if not on_gpus and jobs > most:
        raise GanlabError(
            f"sweep.jobs={jobs}, but this machine has {processors} cores: take sweep.jobs={most} at most."
        )
    return jobs


def threads(jobs: int, processes: int, processors: int) -> int | None:
    """Return the threads of each process of a job on a CPU; None for one job at a time, which decides by itself.

    Args:
        jobs: Jobs at a time.
        processes: Of a job.
    """
    return None if jobs == 1 else max(1, processors // (jobs * max(1, processes)))


def environment(threads: int | None) -> dict[str, str]:
    """Return the variables by which a process has so many threads; None: it decides by itself."""
    return {} if threads is None else {THREADS: str(threads)}


def next_fitting(needs: Sequence[int], free: int) -> int | None:
    """Return the place of the first waiting job for which enough GPUs are free; None if there is none.

    A job that needs more than are free does not keep those behind it waiting, so that no GPU idles.
    """
    return next((place for place, need in enumerate(needs) if need <= free), None)


@dataclass
class Share:
    """The GPUs of this machine, each held by at most one job.

    Args:
        all: Their names, as ``CUDA_VISIBLE_DEVICES`` has them.
    """

    all: tuple[str, ...]
    held: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def free(self) -> list[str]:
        taken = {name for names in self.held.values() for name in names}
        return [name for name in self.all if name not in taken]

    def take(self, job: int, need: int) -> dict[str, str]:
        """Give ``need`` GPUs to a job; return the environment in which it sees these alone."""
        assert need <= len(self.free)
        self.held[job] = tuple(self.free[:need])
        return {VISIBLE: ",".join(self.held[job])} if self.all else {}

    def give_back(self, job: int) -> None:
        self.held.pop(job, None)


def _gpus(count: int) -> str:
    return f"{count} GPU{'' if count == 1 else 's'}"
