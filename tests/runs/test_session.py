"""One session of training from a configuration to what is said at its end."""

from pathlib import Path
from typing import Any

import pytest
from support.runs import TINY, Train, metrics, state

from ganlab import cli
from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.runs import run_folder, session


def test_a_session_says_where_the_run_is_its_grid_and_its_speed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert cli.dispatch(["train", *TINY, "trainer.max_steps=3", f"run.dir={folder}"]) == 0
    lines = capfd.readouterr().out.splitlines()[3:]  # after the three that say what is trained
    assert lines[0] == f"run: {folder}"
    assert lines[1].startswith("iteration 3/3 · 0.0 kimg · ")
    assert "images/s · 0:00 left · discriminator " in lines[1]
    assert lines[-2] == f"samples: {folder}/samples/iteration_000000003.png"
    assert lines[-1].startswith(f"run: {folder} (0.0 kimg, ")


def test_paths_below_the_current_folder_are_shown_as_one_types_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.dispatch(["train", *TINY, "trainer.max_steps=3", "run.dir=runs/my run"]) == 0
    assert cli.dispatch(["sample", "runs/my run", "count=2"]) == 0
    said = capfd.readouterr().out
    assert str(tmp_path) not in said
    assert said.count("run: 'runs/my run'\n") == said.count("run: 'runs/my run' (0.0 kimg, ") == 1
    assert "samples: 'runs/my run/samples/iteration_000000003.png'\n" in said
    assert said.endswith(": 'runs/my run/samples/sample_seed0.png'\n")
    with pytest.raises(GanlabError, match=r"`ganlab resume 'runs/my run' trainer\.max_steps=6`"):
        cli.dispatch(["resume", "runs/my run"])


def test_a_run_that_its_time_ends_says_so_and_how_to_go_on(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train("trainer.max_time={milliseconds:1}", "trainer.max_steps=-1", "run.max_kimg=1")
    iteration = state(folder)["ganlab"]["progress"]["iteration"]
    said = f"trainer.max_time ended the run after iteration {iteration}. Continue for as long again with: "
    assert f"{said}ganlab resume {folder}\n" in capfd.readouterr().out
    assert iteration < 20
    assert cli.dispatch(["resume", str(folder)]) == 0
    assert "trainer.max_time ended the run after iteration" in capfd.readouterr().out
    before, iteration = iteration, state(folder)["ganlab"]["progress"]["iteration"]
    assert iteration > before
    assert cli.dispatch(["resume", str(folder), "trainer.max_time=null", f"trainer.max_steps={iteration + 2}"]) == 0
    assert "max_time" not in capfd.readouterr().out
    assert state(folder)["ganlab"]["progress"]["iteration"] == iteration + 2


@pytest.mark.parametrize("profiler", ["simple", "advanced"])
def test_what_a_profiler_measured_is_written_into_the_run(
    train: Train, capfd: pytest.CaptureFixture[str], profiler: str
) -> None:
    folder = train(f"trainer.profiler={profiler}")
    assert f"profile: {folder}/profile.txt\n" in capfd.readouterr().out
    assert "run_training_batch" in (folder / "profile.txt").read_text()


def test_a_run_without_a_profiler_has_no_profile(finished: Path) -> None:
    assert not (finished / "profile.txt").exists()


def test_the_same_configuration_gives_the_same_run(train: Train) -> None:
    from support.runs import assert_bit_equal

    assert_bit_equal(state(train(name="a")), state(train(name="b")))
    other = state(train("seed=1", name="c"))["state_dict"]["game.generator.linear.weight"]
    assert (other - state(train(name="d"))["state_dict"]["game.generator.linear.weight"]).abs().max() > 1e-3


def test_a_run_of_a_configuration_in_a_folder_is_trained_there(tmp_path: Path) -> None:
    content = compose.read([*TINY, "trainer.max_steps=2"])
    run_folder.write_config(tmp_path / "job", content)
    assert cli.dispatch(["train", str(tmp_path / "job")]) == 0
    assert state(tmp_path / "job")["ganlab"]["progress"]["iteration"] == 2


def test_a_run_that_stopped_before_its_first_checkpoint_may_be_started_again_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_folder.write_config(folder, compose.read(TINY))
    (folder / "metrics.jsonl").write_text('{"iteration": 9}\n')
    (folder / "notes.txt").write_text("mine")
    assert cli.dispatch(["train", *TINY, "trainer.max_steps=1", f"run.dir={folder}"]) == 0
    assert [line["iteration"] for line in metrics(folder)] == [1]
    assert (folder / "notes.txt").read_text() == "mine"


def test_too_little_memory_ends_in_a_sentence_that_says_what_to_do(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ganlab.engine.module import GameModule

    def full(*arguments: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(GameModule, "training_step", full)
    with pytest.raises(GanlabError, match="too little memory for micro-batches of 4 images: take accumulate=4"):
        train("accumulate=2")


def test_other_errors_of_the_program_are_not_swallowed(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganlab.engine.module import GameModule

    def broken(*arguments: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(GameModule, "training_step", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        train()


def test_changing_a_configuration_leaves_the_original_alone() -> None:
    before = {"a": {"b": 1}, "trainer": {}}
    assert session.changed(before, {"a.b": 2, "trainer.max_steps": 3}) == {"a": {"b": 2}, "trainer": {"max_steps": 3}}
    assert before == {"a": {"b": 1}, "trainer": {}}
