"""Published launchers of Hydra's, on one machine: two ranks a job, and a job that fails."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.core_plugins import basic_launcher
from hydra.core.plugins import Plugins
from support.jobs import Jobs
from support.runs import TINY, Start

from ganlab.core.errors import GanlabError
from ganlab.runs import run_folder
from ganlab.runs.sweeps import plan, plugins, sweep, words
from ganlab.runs.sweeps.record import Sweep

PUBLISHED = ("joblib", "submitit_local", "ray")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", PUBLISHED)
def test_it_trains_two_ranks_a_job_and_records_one_that_fails(tmp_path: Path, command: Start, launcher: str) -> None:
    if launcher == "ray" and not os.environ.get("GANLAB_TEST_RAY"):
        pytest.skip("Ray is not one of the packages of [test]: .ci/run has an environment for it")
    import_module(plugins.KNOWN["launcher"][launcher].module)
    if launcher != "ray":  # Ray's own workers import from the current folder
        (tmp_path / "numpy.py").write_text("raise SystemExit('of the current folder')")
    options = ("trainer.devices=2", "trainer.max_steps=3", "data.image_size=16,7", "sweep.jobs=2", "run.dir=sweep")
    code, out, err = command("train", "-m", *TINY, *options, f"hydra/launcher={launcher}").end(600)
    assert code == 1, out + err
    good, bad = Sweep.read(tmp_path / "sweep").jobs()
    assert (good.state, bad.state) == ("done", "failed")
    assert "expected image_size to be" in str(bad.error)
    assert "Traceback" not in out + err
    assert (tmp_path / "sweep" / good.folder / run_folder.CHECKPOINTS / "last.ckpt").exists()


def test_the_words_of_a_launcher_come_after_what_is_ready() -> None:
    parsed = words.split(["hydra/launcher=basic", "hydra.launcher.n_jobs=5", "seed=0,1"])
    assert plan.launching(parsed)[-1] == "hydra.launcher.n_jobs=5"


def test_a_launcher_that_fails_ends_the_sweep_with_its_sentence(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def launch(self: Any, job_overrides: Any, initial_job_idx: int) -> Any:
        of.begins(1)
        raise RuntimeError("the cluster\nis gone")

    folder = tmp_path / "sweep"
    of = Sweep(folder, ())
    Plugins.instance()  # executes the module again
    monkeypatch.setattr(basic_launcher.BasicLauncher, "launch", launch)
    assert sweep.start([*TINY, "seed=0,1", "hydra/launcher=basic", f"run.dir={folder}"]) == 1
    said = "hydra/launcher=basic has failed: the cluster is gone."
    assert f"ganlab: {said}\n" in capfd.readouterr().err
    assert [(job.state, job.error) for job in Sweep.read(folder).jobs()] == [("queued", None), ("stopped", said)]


@pytest.mark.parametrize("kind", plugins.KNOWN)
def test_one_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(plugins.Plugin, "is_installed", property(lambda plugin: not plugin.module))
    for name, plugin in plugins.KNOWN[kind].items():
        if plugin.module:
            with pytest.raises(GanlabError, match=rf"is not installed: pip install 'ganlab\[{plugin.extra}\]'"):
                words.split([f"hydra/{kind}={name}"])
