"""ganlab's launcher: N jobs at a time, GPUs that no two jobs hold, jobs that are stopped or pruned."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest
from support.jobs import Jobs
from support.runs import TINY

from ganlab.core.errors import GanlabError
from ganlab.runs.sweeps import devices, record, sweep
from ganlab.runs.sweeps.launcher import Interrupted, Pool
from ganlab.runs.sweeps.record import Sweep


class Crowd:
    """Counts the jobs that train at the same time, and the GPUs that two of them hold.

    Args:
        expected: So many are to train at the same time; the first ones wait for each other.
    """

    def __init__(self, jobs: Jobs, expected: int) -> None:
        self.jobs, self.expected = jobs, expected
        self.changed = threading.Condition()
        self.now: dict[Path, set[str]] = {}
        self.most, self.shared = 0, set[str]()
        jobs.act = self.act

    def act(self, folder: Path) -> None:
        gpus = self.jobs.environments[self.jobs.folders.index(folder)].get(devices.VISIBLE, "")
        mine = {name for name in gpus.split(",") if name}
        with self.changed:
            self.shared |= {name for held in self.now.values() for name in held & mine}
            self.now[folder] = mine
            self.most = max(self.most, len(self.now))
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.most >= self.expected, timeout=30)
        time.sleep(0.02)  # for one too many
        with self.changed:
            del self.now[folder]


def with_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> tuple[str, ...]:
    """Tell ganlab that there are so many GPUs; return options of a tiny run that wants one."""
    monkeypatch.setattr(devices, "gpus", lambda: [str(number) for number in range(count)])
    return tuple(word for word in TINY if "accelerator" not in word)


@pytest.mark.parametrize(("word", "most"), [("sweep.jobs=2", 2), ("sweep.jobs=1", 1), ("seed=7", 1)])
def test_so_many_jobs_train_at_a_time(tmp_path: Path, jobs: Jobs, word: str, most: int) -> None:
    crowd = Crowd(jobs, most)
    assert sweep.start([*TINY, f"run.dir={tmp_path / 's'}", "loss=hinge,minimax", "reg=none,sn", word]) == 0
    assert (len(jobs.started), crowd.most) == (4, most)
    assert all(devices.VISIBLE not in environment for environment in jobs.environments)


@pytest.mark.parametrize(("each", "most"), [(1, 4), (2, 2), (3, 1)])
def test_gpus_are_shared_out(tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, each: int, most: int) -> None:
    crowd, words = Crowd(jobs, most), with_gpus(monkeypatch, 4)
    assert sweep.start([*words, f"run.dir={tmp_path / 's'}", "seed=range(0,6)", f"trainer.devices={each}"]) == 0
    assert (crowd.most, crowd.shared) == (most, set())
    assert {len(found[devices.VISIBLE].split(",")) for found in jobs.environments if found} <= {each}


def test_jobs_that_need_more_gpus_wait_alone(tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd, words = Crowd(jobs, 2), with_gpus(monkeypatch, 2)
    assert sweep.start([*words, f"run.dir={tmp_path / 's'}", "trainer.devices=1,2", "seed=0,1,2"]) == 0
    assert (crowd.most, crowd.shared) == (2, set())


REFUSED = {
    ("sweep.jobs=3",): r"sweep\.jobs=3 with 1 GPU a job asks for 3 GPUs, and there are 2: take sweep\.jobs=2",
    ("trainer.devices=[0]", "sweep.jobs=2"): r"trainer\.devices=\[0\] names the same GPUs for all jobs",
    ("sweep.objective=kid",): r"sweep\.objective=kid is not scored: add it, as 'evaluate\.metrics=\[fid,kid\]'",
    ("sweep.objective=fidd",): r"sweep\.objective=fidd is not scored\. Did you mean 'fid'",
}


@pytest.mark.parametrize("options", REFUSED)
def test_a_sweep_that_asks_for_too_much_is_refused_before_its_first_job(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    words = with_gpus(monkeypatch, 2)
    with pytest.raises(GanlabError, match=REFUSED[options]):
        sweep.start([*words, f"run.dir={tmp_path / 's'}", "seed=0,1", *options])
    assert jobs.started == []


def a_sweep(folder: Path, count: int) -> Sweep:
    found = Sweep(folder, (*TINY, f"seed=range(0,{count})"))
    found.write()
    found.add([(number, {"seed": str(number)}) for number in range(count)])
    return found


def test_a_sweeper_submits_jobs_one_by_one_and_prunes_them(tmp_path: Path, jobs: Jobs) -> None:
    found = a_sweep(tmp_path, 3)
    goes_on = threading.Event()
    jobs.act = lambda folder: folder.name.startswith("0") or goes_on.wait(20)
    with Pool(found, 2) as pool:
        first = pool.submit(0)
        assert pool.next_done([first], seconds=20) == [first]
        assert first.result().job.state == record.DONE
        jobs.codes.append(143)
        second = pool.submit(1)
        assert jobs.began.acquire(timeout=20)
        assert jobs.began.acquire(timeout=20)
        assert pool.next_done([first, second], seconds=20) == [first]
        second.prune()
        goes_on.set()
        third = pool.submit(2)
    assert [second.result().job.state, third.result().job.state] == [record.PRUNED, record.DONE]
    assert pool.submit(0).result(20).job.state == record.DONE
    assert len(jobs.started) == 3, "a job that is done is not trained again"


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_an_interruption_ends_the_jobs_that_train_and_starts_no_other(
    tmp_path: Path, jobs: Jobs, error: BaseException, code: int
) -> None:
    found = a_sweep(tmp_path, 3)
    began, stopped = threading.Event(), threading.Event()
    jobs.codes.extend([143])

    def act(folder: Path) -> None:
        began.set()
        assert stopped.wait(20)

    jobs.act, jobs.signalled = act, stopped.set
    with pytest.raises(Interrupted) as caught, Pool(found, 1) as pool:
        tasks = [pool.submit(number) for number in range(3)]
        assert began.wait(20)
        raise error
    assert caught.value.code == code
    assert [job.state for job in found.jobs()] == ["stopped", "queued", "queued"]
    assert [task.cancelled() for task in tasks] == [False, True, True]
    assert jobs.processes[0].signals == [signal.SIGTERM]
