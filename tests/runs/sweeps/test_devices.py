"""Sharing devices: no two jobs hold one GPU, and none idles while a job that fits waits."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ganlab.core.errors import GanlabError
from ganlab.runs.sweeps import devices


@pytest.mark.parametrize(
    ("trainer", "there", "need"),
    [
        ({}, 4, 1),
        ({"devices": 2}, 4, 2),
        ({"devices": "2"}, 4, 2),
        ({"devices": "auto"}, 4, 4),
        ({"devices": -1}, 4, 4),
        ({"devices": [0, 3]}, 4, 2),
        ({"devices": "0,3"}, 4, 2),
        ({"devices": 2, "accelerator": "cpu"}, 4, 0),
        ({"devices": 2}, 0, 0),
    ],
)
def test_a_job_needs_the_gpus_that_its_trainer_asks_for(trainer: dict[str, Any], there: int, need: int) -> None:
    assert devices.needed(trainer, there) == need


@pytest.mark.parametrize(
    ("jobs", "needs", "there", "at_a_time"),
    [(None, [1], 4, 4), (None, [2], 4, 2), (None, [3], 4, 1), (None, [0], 4, 1), (None, [0], 0, 1), (2, [2], 4, 2),
     (3, [0], 0, 3), (None, [4], 2, 1)],
)  # fmt: skip
def test_one_job_a_gpu_is_the_default(jobs: int | None, needs: list[int], there: int, at_a_time: int) -> None:
    assert devices.at_a_time(jobs, needs, there, processors=4) == at_a_time


def test_more_jobs_than_devices_are_refused() -> None:
    with pytest.raises(GanlabError, match=r"sweep\.jobs=3 with 2 GPUs a job asks for 6 GPUs, and there are 4: take sw"):
        devices.at_a_time(3, [2], 4, 16)
    with pytest.raises(GanlabError, match=r"sweep\.jobs=9, but this machine has 4 cores: take sweep\.jobs=4"):
        devices.at_a_time(9, [0], 0, 4)


def test_threads_are_divided_among_jobs_and_their_processes() -> None:
    assert devices.threads(1, 1, 8) is None
    assert devices.threads(4, 1, 8) == 2
    assert devices.threads(4, 2, 8) == 1
    assert devices.threads(16, 1, 8) == 1


def test_no_two_jobs_hold_one_gpu_and_none_idles_while_a_job_fits() -> None:
    generator = random.Random(0)
    share, waiting, running = devices.Share(("0", "1", "MIG-2", "3")), list(range(60)), list[int]()
    need = {job: generator.choice([1, 1, 2, 3, 4]) for job in waiting}
    while waiting or running:
        while (place := devices.next_fitting([need[job] for job in waiting], len(share.free))) is not None:
            job = waiting.pop(place)
            names = share.take(job, need[job])[devices.VISIBLE].split(",")
            assert len(names) == need[job]
            running.append(job)
        held = [name for names in share.held.values() for name in names]
        assert len(held) == len(set(held))
        assert all(need[job] > len(share.free) for job in waiting)
        share.give_back(running.pop(generator.randrange(len(running))))
    assert share.free == ["0", "1", "MIG-2", "3"]


def test_gpus_have_the_names_that_the_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv(devices.VISIBLE, "3, GPU-5")
    assert devices.gpus() == ["3", "GPU-5"]
    monkeypatch.delenv(devices.VISIBLE)
    assert devices.gpus() == ["0", "1"]
