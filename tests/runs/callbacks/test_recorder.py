"""metrics.jsonl: every logged iteration once, whole lines only, whatever happens to the machine."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.runs import Train, metrics

from ganlab.core.errors import GanlabError
from ganlab.engine.module import GameModule
from ganlab.runs import session

ROW = b'{"iteration": 1}\n'


def test_lines_are_whole_numbers_of_the_interval_and_the_last_iteration_on_the_kimg_axis(train: Train) -> None:
    folder = train("trainer.log_every_n_steps=3", "game.discriminator_steps=2", steps=7)
    lines = metrics(folder)
    assert [line["iteration"] for line in lines] == [3, 6, 7]
    assert [line["kimg"] for line in lines] == [3 * 2 * 8 / 1000, 6 * 2 * 8 / 1000, 7 * 2 * 8 / 1000]
    for line in lines:
        assert {"discriminator/adversarial", "generator/adversarial", "discriminator/learning_rate"} <= set(line)


def test_a_line_has_the_most_memory_that_the_process_has_had(train: Train) -> None:
    lines = [json.loads(line) for line in (train() / "metrics.jsonl").read_text().splitlines()]
    found = [line["memory_mib"] for line in lines]
    assert found == sorted(found)
    assert 50 < found[0] < 100_000


@pytest.mark.parametrize(("length", "last"), [([], 4), (["run.max_kimg=0.017", "trainer.max_steps=-1"], 3)])
def test_the_last_iteration_is_logged_though_the_run_is_shorter_than_the_interval(
    train: Train, length: list[str], last: int
) -> None:
    lines = metrics(train("trainer.log_every_n_steps=50", *length))
    assert [line["iteration"] for line in lines] == [last]
    assert {"discriminator/adversarial", "generator/adversarial"} <= set(lines[0])


def test_what_was_written_after_the_checkpoint_is_forgotten_and_written_again_once(copied: Path) -> None:
    path = copied / "metrics.jsonl"
    before = metrics(copied)
    (copied / "checkpoints/last.ckpt").unlink()  # the run goes on at 3
    path.write_bytes(path.read_bytes() + b'{"iteration": 5, "kimg"')
    session.resume(copied, {"trainer.max_steps": 6})
    after = metrics(copied)
    assert [line["iteration"] for line in after] == [1, 2, 3, 4, 5, 6]
    assert after[:4] == before


@pytest.mark.parametrize(
    "damage",
    [
        b"\x00\x00\xff\xfe\n",
        b"[1, 2]\n",
        b"5\n",
        b'{"kimg": 1}\n',
        b"\n",
        b'{"iteration": "a"}\n',
        b'{"iteration": 1, "k',
    ],
)
def test_damaged_lines_are_dropped_and_the_others_kept(copied: Path, damage: bytes) -> None:
    path = copied / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + damage + (b"" if damage.endswith(b"\n") else b"\n") + b"".join(lines[1:]))
    session.resume(copied, {"trainer.max_steps": 5})
    assert [line["iteration"] for line in metrics(copied)] == [1, 2, 3, 4, 5]


def test_metrics_that_cannot_be_written_are_reported_once_and_training_goes_on(
    train: Train, finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run" / "metrics.jsonl").mkdir(parents=True)
    shutil.copy(finished / "config.yaml", tmp_path / "run")
    folder = train()
    err = capfd.readouterr().err
    assert err.count(f"{folder / 'metrics.jsonl'} cannot be written (Is a directory): training goes on.") == 1
    assert (folder / "checkpoints/last.ckpt").is_file()


def test_a_number_that_is_none_is_written_as_null_and_stops_the_run(train: Train, tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match=r"The run has diverged: (generator|discriminator)'s \w+ is (nan|inf)"):
        train("optimizer.generator.lr=1e30", "optimizer.discriminator.lr=1e30", steps=40)
    last = metrics(tmp_path / "run")[-1]
    assert None in last.values()
    assert all(value is None or abs(value) < float("inf") for value in last.values())
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_the_progress_line_adds_up_what_each_player_minimises_and_nothing_else(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    """vib notes its KL and beta as well, which are no terms of the objective."""
    folder = train("reg=vib", "reg.vib.channels=4")
    line = next(part for part in capfd.readouterr().out.splitlines() if part.startswith("iteration 4/4"))
    last = metrics(folder)[-1]
    loss = last["discriminator/adversarial"] + last["discriminator/vib"]
    assert f"discriminator {loss:.3f} generator {last['generator/adversarial']:.3f}" in line
    assert abs(last["discriminator/vib_kl"]) > 1e-3


def test_a_progress_line_on_a_terminal_leaves_room_for_what_ctrl_c_echoes(
    train: Train, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal writes ^C where the cursor is: behind the padding of a full line, it went into the next line."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    train()
    lines = capfd.readouterr().out.split("\r")[1:]
    shown = [line.partition("\033[K") for line in lines]
    assert shown
    assert all(erased and len(text) + len("^C") < 60 for text, erased, _ in shown)
    assert any(len(text) > 50 for text, _, _ in shown)


def test_scalars_are_read_only_when_they_are_logged(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading one makes the host wait for a GPU."""
    reads = []
    original = torch.Tensor.tolist
    start = GameModule.on_train_start

    def counted(self: torch.Tensor) -> Any:
        reads.append(1)
        return original(self)

    def from_here(self: GameModule) -> None:
        reads.clear()
        start(self)

    monkeypatch.setattr(torch.Tensor, "tolist", counted)
    monkeypatch.setattr(GameModule, "on_train_start", from_here)
    train("trainer.log_every_n_steps=4", "sample.every_steps=100", steps=8)
    assert len(reads) == 2
