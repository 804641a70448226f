"""Checkpoints are data: written whole or not at all, verified when read, bounded in number."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.disk import fill
from support.runs import TINY, Train, assert_bit_equal, state

from ganlab import cli
from ganlab.core.errors import GanlabError
from ganlab.runs import checkpoints, run_folder, session
from ganlab.runs.callbacks import saving
from ganlab.runs.run import Run

LAST = Path("checkpoints/last.ckpt")


@pytest.fixture(scope="module")
def last(finished: Path) -> bytes:
    return (finished / LAST).read_bytes()


def test_a_run_keeps_last_and_a_bounded_number_of_older_checkpoints(finished: Path) -> None:
    names = sorted(path.name for path in (finished / "checkpoints").iterdir())
    assert names == ["last.ckpt", "step_000000002.ckpt", "step_000000003.ckpt"]
    for name, iteration in zip(names, (4, 2, 3), strict=True):
        assert state(finished, name)["ganlab"]["progress"]["iteration"] == iteration


@pytest.mark.parametrize("keep", [0, 1])
def test_fewer_may_be_kept(train: Train, keep: int) -> None:
    folder = train("checkpoint.every_steps=1", f"checkpoint.keep={keep}")
    assert len(list((folder / "checkpoints").iterdir())) == 1 + keep


def test_a_checkpoint_loads_with_weights_only_and_has_lightnings_keys(finished: Path) -> None:
    checkpoint = torch.load(finished / LAST, weights_only=True)
    assert {"state_dict", "optimizer_states", "global_step", "epoch", "pytorch-lightning_version"} <= set(checkpoint)
    assert checkpoint["global_step"] == 4


# --- damage


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_checkpoint_cut_short_is_recognised(tmp_path: Path, last: bytes, share: float) -> None:
    path = tmp_path / "cut.ckpt"
    path.write_bytes(last[: int(share * len(last))])
    with pytest.raises(GanlabError, match="is no whole checkpoint"):
        checkpoints.load(path)


def test_one_flipped_byte_anywhere_is_recognised_or_changes_nothing(
    tmp_path: Path, finished: Path, last: bytes
) -> None:
    """A zip file has bytes that no content depends on: padding, times, attributes."""
    path, whole, recognised = tmp_path / "flipped.ckpt", checkpoints.load(finished / LAST), 0
    headers = range(len(last) - 400, len(last), 7)  # the directory at the end
    offsets = [*range(0, len(last), len(last) // 150), *headers]
    for offset in offsets:
        path.write_bytes(last[:offset] + bytes([last[offset] ^ 0x41]) + last[offset + 1 :])
        try:
            content = checkpoints.load(path)
        except GanlabError as error:
            assert "is damaged" in str(error) or "is no " in str(error), error
            recognised += 1
        else:
            assert_bit_equal(content, whole)
    assert recognised > len(offsets) // 4


def test_one_flipped_byte_in_a_weight_is_recognised(tmp_path: Path, finished: Path, last: bytes) -> None:
    """torch does not compare the checksums that it writes."""
    with zipfile.ZipFile(finished / LAST) as archive:
        weights = [member for member in archive.infolist() if "/data/" in member.filename]
        with archive.open(max(weights, key=lambda member: member.file_size)) as member:
            first = last.index(member.read(64))
    path = tmp_path / "flipped.ckpt"
    path.write_bytes(last[: first + 5] + bytes([last[first + 5] ^ 1]) + last[first + 6 :])
    torch.load(path, weights_only=True)
    with pytest.raises(GanlabError, match="does not match its checksum"):
        checkpoints.load(path)


class Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("kind", ["torch", "legacy", "pickle"])
def test_a_checkpoint_that_would_run_code_runs_nothing(tmp_path: Path, copied: Path, kind: str) -> None:
    path, trace = copied / LAST, tmp_path / "it ran"
    content = {"state_dict": {}, "ganlab": Evil(f"'{trace}'")}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "torch")
    with pytest.raises(GanlabError, match="is no whole checkpoint"):
        checkpoints.load(path)
    run = Run(copied)
    assert run.iteration == 3
    assert "is no whole checkpoint" in run.messages[0]
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(3),
        {"state_dict": {}},
        {"ganlab": 3, "state_dict": {}},
        {"ganlab": {"progress": {}}, "state_dict": {}, "optimizer_states": []},
        {"ganlab": {"progress": None, "phase": None, "optimistic": {}}, "state_dict": {"a": 1}, "optimizer_states": []},
    ],
)
def test_a_foreign_torch_file_is_recognised(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "foreign.ckpt")
    with pytest.raises(GanlabError, match="is no checkpoint of ganlab"):
        checkpoints.load(tmp_path / "foreign.ckpt")


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before_with_a_message(
    copied: Path, finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (copied / LAST).write_bytes((copied / LAST).read_bytes()[:-100])
    assert cli.dispatch(["resume", str(copied), "trainer.max_steps=4"]) == 0
    err = capfd.readouterr().err
    assert "last.ckpt is no whole checkpoint" in err
    assert "The one before it, step_000000003.ckpt, is used." in err
    assert_bit_equal(state(copied), state(finished))
    assert sorted(p.name for p in (copied / "checkpoints").iterdir())[0] == "last.ckpt"
    assert len(list((copied / "checkpoints").iterdir())) == 3


def test_sampling_says_that_it_used_an_older_checkpoint(copied: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (copied / LAST).write_bytes(b"")
    assert cli.dispatch(["sample", str(copied), "count=4"]) == 0
    captured = capfd.readouterr()
    assert "last.ckpt is no whole checkpoint" in captured.err
    assert "images of iteration 3" in captured.out


def test_when_no_checkpoint_is_whole_everybody_names_the_one_way_out_which_keeps_what_there_is(
    copied: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`resume` said to start again, and `train` to resume."""
    for path in (copied / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    commands = (["resume", copied], ["sample", copied], ["train", copied], ["train", *TINY, f"run.dir={copied}"])
    for command in commands:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(word) for word in command])
        assert caught.value.code == 2
        err = capfd.readouterr().err
        assert err.startswith("ganlab: No checkpoint in")
        assert err.endswith(f"`ganlab train {copied} run.dir=NEW`.\n")
        assert "Traceback" not in err
    assert cli.dispatch(["train", str(copied), f"run.dir={tmp_path / 'new'}"]) == 0
    assert state(tmp_path / "new")["ganlab"]["progress"]["iteration"] == 4
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_the_checkpoint_of_another_model_is_refused_by_the_names_that_do_not_fit(copied: Path, train: Train) -> None:
    other = train("generator.width=6", name="other")
    (copied / LAST).write_bytes((other / LAST).read_bytes())
    for attempt in (lambda: Run(copied), lambda: session.resume(copied, {"trainer.max_steps": 9})):
        with pytest.raises(
            GanlabError, match=r"belongs to another model: game.generator.* is \(.*\) instead of .* more"
        ):
            attempt()


def test_a_checkpoint_of_a_gpu_is_read_where_there_is_none(tmp_path: Path, finished: Path) -> None:
    """Storages name their device in the pickle; Lightning asks for no map_location."""
    path = tmp_path / "gpu.ckpt"
    with zipfile.ZipFile(finished / LAST) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename.endswith("data.pkl"):
                assert b"X\x03\x00\x00\x00cpu" in content
                content = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            new.writestr(member.filename, content)
    checkpoint = checkpoints.AtomicCheckpointIO().load_checkpoint(path)
    assert_bit_equal(checkpoint["state_dict"], checkpoints.load(finished / LAST)["state_dict"])


# --- names


def test_every_state_that_a_kill_between_two_renames_leaves_has_its_newest_checkpoint_found(tmp_path: Path) -> None:
    def put(name: str) -> None:
        (tmp_path / name).write_text(name)

    for name in ("step_000000001.ckpt", "step_000000010.ckpt", "step_000000002.ckpt"):
        put(name)
    assert [p.name[5:14] for p in checkpoints.candidates(tmp_path)] == ["000000010", "000000002", "000000001"]
    put("last.ckpt")
    put("next.ckpt")
    assert [p.name for p in checkpoints.candidates(tmp_path)][:3] == ["next.ckpt", "last.ckpt", "step_000000010.ckpt"]
    checkpoints.shift(tmp_path, 12, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.ckpt", "step_000000010.ckpt", "step_000000012.ckpt"]
    assert (tmp_path / "last.ckpt").read_text() == "next.ckpt"
    assert (tmp_path / "step_000000012.ckpt").read_text() == "last.ckpt"


def test_what_an_interrupted_write_left_behind_is_removed(copied: Path) -> None:
    left = [
        copied / "checkpoints/.next.ckpt.0123456789ab.part",
        copied / ".config.yaml.0123456789ab.part",
        copied / "samples/.iteration_1.png.0123456789ab.part",
    ]
    for path in (*left, copied / ".mine.part"):
        path.write_bytes(b"half")
    session.resume(copied, {"trainer.max_steps": 5})
    assert not [path for path in left if path.exists()]
    assert (copied / ".mine.part").exists()


def test_the_number_of_files_does_not_grow(train: Train) -> None:
    folder = train("checkpoint.every_steps=1", "sample.every_steps=1", "sample.keep=4", steps=30)
    count = len(list(folder.rglob("*")))
    session.resume(folder, {"trainer.max_steps": 60})
    assert len(list(folder.rglob("*"))) == count
    assert len(list((folder / "samples").iterdir())) <= 4
    assert (folder / "samples" / "iteration_000000060.png").is_file()


# --- a full disk


def when(monkeypatch: pytest.MonkeyPatch, iteration: int, act: Callable[[], object]) -> None:
    """Do something before the checkpoint of an iteration is written."""
    save = saving.Saving._save

    def patched(self: saving.Saving, trainer: Any, module: Any) -> None:
        if module.progress.iteration == iteration:
            act()
        save(self, trainer, module)

    monkeypatch.setattr(saving.Saving, "_save", patched)


@pytest.mark.parametrize("leave", [0, 40_000])
def test_a_full_disk_stops_no_training_and_the_last_good_checkpoint_stays(
    small_disk: Path, train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], leave: int
) -> None:
    when(monkeypatch, 3, lambda: fill(small_disk, leave))
    folder = train("checkpoint.every_steps=1", "sample.every_steps=1", f"run.dir={small_disk}/run", steps=6)
    err = capfd.readouterr().err
    for iteration in (3, 4, 5, 6):
        assert err.count(f"The checkpoint of iteration {iteration} could not be written") == 1
    assert "No space left on device" in err
    assert "the one before stays, and training goes on" in err
    assert "Traceback" not in err
    assert state(folder)["ganlab"]["progress"]["iteration"] == 2
    assert not [p for p in folder.rglob("*") if "part" in p.name or p.name == "next.ckpt"]
    lines = (folder / "metrics.jsonl").read_bytes()
    assert lines.endswith(b"\n")
    for picture in (folder / "samples").iterdir():
        assert picture.read_bytes().endswith(b"IEND\xaeB\x60\x82")
    if leave == 0:
        assert "iteration_000000004.png' cannot be written" in err  # in quotes, for the disk has a space in its name
    monkeypatch.undo()
    os.unlink(small_disk / "ballast")
    session.resume(folder)
    assert state(folder)["ganlab"]["progress"]["iteration"] == 6


def test_a_disk_that_is_full_for_a_while_loses_one_checkpoint(
    small_disk: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    when(monkeypatch, 3, lambda: fill(small_disk))
    when(monkeypatch, 4, lambda: os.unlink(small_disk / "ballast"))
    folder = train("checkpoint.every_steps=1", "checkpoint.keep=1", f"run.dir={small_disk}/run", steps=5)
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["last.ckpt", "step_000000004.ckpt"]
    assert state(folder, "step_000000004.ckpt")["ganlab"]["progress"]["iteration"] == 4


def test_a_disk_that_is_full_from_the_start_is_refused_in_one_sentence(small_disk: Path, train: Train) -> None:
    fill(small_disk)
    with pytest.raises(GanlabError, match=r"config.yaml cannot be written: No space left on device"):
        train(f"run.dir={small_disk}/run")


def test_a_folder_that_cannot_be_written_is_refused_in_one_sentence(train: Train) -> None:
    with pytest.raises(GanlabError, match="The run folder /proc/run cannot be made"):
        train("run.dir=/proc/run")


def test_a_write_that_fails_is_remembered_and_not_raised(tmp_path: Path) -> None:
    """Other ranks wait for the one that writes."""
    io = checkpoints.AtomicCheckpointIO()
    (tmp_path / "a file").write_text("")
    io.save_checkpoint({"a": 1}, tmp_path / "a file" / "last.ckpt")
    assert isinstance(io.failure, OSError)
    io.save_checkpoint({"a": 1}, tmp_path / "last.ckpt")
    assert io.failure is None
    assert [p.name for p in tmp_path.glob("*.ckpt")] == ["last.ckpt"]


def test_a_programming_error_while_saving_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"pickle|local object"):
        checkpoints.AtomicCheckpointIO().save_checkpoint({"a": lambda: 1}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_never_saved(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        GanlabError, match=r"The run has diverged: .* at iteration \d+.*Checkpoints hold finite numbers only.*lr"
    ):
        train(
            "optimizer.generator.lr=1e30",
            "optimizer.discriminator.lr=1e30",
            "checkpoint.every_steps=1",
            "trainer.log_every_n_steps=50",
            steps=40,
        )


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(copied: Path) -> None:
    with pytest.raises(GanlabError, match="The run has diverged"):
        session.resume(
            copied,
            {"trainer.max_steps": 40, "optimizer.generator.lr": 1e30, "optimizer.discriminator.lr": 1e30},
        )
    _, checkpoint, messages = checkpoints.newest(copied / run_folder.CHECKPOINTS)
    assert not messages
    assert all(torch.isfinite(t).all() for t in checkpoint["state_dict"].values() if t.is_floating_point())


def test_a_blow_up_that_leaves_the_weights_finite_stops_the_run_and_keeps_the_last_good_checkpoint(
    train: Train, tmp_path: Path
) -> None:
    """Squares of large gradients overflow in Adam's moments, after which it makes steps of zero."""
    rates = ("optimizer.generator.lr=1e6", "optimizer.discriminator.lr=1e6", "loss=wgan_gp")
    with pytest.raises(GanlabError, match=r"The run has diverged: the moments of the \w+'s optimizer are NaN or inf"):
        train(*rates, "checkpoint.every_steps=1", "data.num_classes=0", "trainer.log_every_n_steps=500", steps=60)
    _, checkpoint, messages = checkpoints.newest(tmp_path / "run" / run_folder.CHECKPOINTS)
    assert not messages
    moments = [m for o in checkpoint["optimizer_states"] for s in o["state"].values() for m in s.values()]
    assert moments
    assert all(torch.isfinite(moment).all() for moment in moments)


@pytest.mark.parametrize("what", ["buffer", "average", "moment", "optimistic"])
def test_any_number_of_a_checkpoint_that_is_not_finite_is_refused(
    train: Train, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def spoil(module: Any) -> None:
        places = {
            "buffer": lambda: next(b for b in module.game.buffers() if b.is_floating_point()),
            "average": lambda: next(module.average.parameters()),
            "moment": lambda: next(iter(module.player_optimizers.by_player["generator"].state.values()))["exp_avg"],
            "optimistic": lambda: module.player_optimizers.last_steps["generator"][0],
        }
        places[what]().view(-1)[0] = float("-inf" if what == "average" else "nan")

    save = saving.Saving._save

    def patched(self: saving.Saving, trainer: Any, module: Any) -> None:
        with torch.no_grad():
            spoil(module)
        save(self, trainer, module)

    monkeypatch.setattr(saving.Saving, "_save", patched)
    names = {"buffer": "weights", "average": "averaged weights"}
    name = names.get(what, "the moments of the generator's optimizer")
    with pytest.raises(GanlabError, match=f"The run has diverged: {name} are NaN or infinite at iteration 1"):
        train("game.update=optimistic", steps=1)


def test_large_finite_weights_are_saved(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """The square of 1e30 is infinite in float32, and a sum of squares was looked at."""
    save = saving.Saving._save

    def patched(self: saving.Saving, trainer: Any, module: Any) -> None:
        with torch.no_grad():
            next(module.average.parameters()).view(-1)[0] = 1e30
            next(module.game.parameters()).view(-1)[0] = 1e30
        save(self, trainer, module)

    monkeypatch.setattr(saving.Saving, "_save", patched)
    assert state(train(steps=1))["ganlab"]["progress"]["iteration"] == 1
