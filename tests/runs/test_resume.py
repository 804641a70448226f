"""A run that is killed at any moment and resumed equals one that never stopped, bit for bit on a CPU."""

import contextlib
import random
import shutil
import signal
from pathlib import Path

import pytest
import torch
from support.killing import killed
from support.runs import TINY, Start, Train, assert_bit_equal, metrics, state

from ganlab import cli
from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.runs import checkpoints, run_folder, session

OPTIONS = {
    "as it comes": [],
    "lazy r1 of accumulated steps": ["reg=r1", "reg.r1.interval_steps=2", "accumulate=2", "game.discriminator_steps=2"],
    "vib's dual variable": ["reg=vib", "reg.vib.channels=4", "reg.vib.beta_step=0.1"],
    "extragradient": ["game.update=extragradient"],
    "optimistic": ["game.update=optimistic"],
    "schedules of other optimizers, one of which ends before the stop": [
        "optimizer/generator=rmsprop",
        "optimizer.generator.lr={from:1e-3,to:0,end_steps:6}",
        "optimizer/discriminator=adamw",
        "optimizer.discriminator.lr={from:1e-3,to:1e-4,end_steps:2}",
    ],
    "a weight's schedule, and an average that starts late": [
        "loss=wgan_gp",
        "reg.gradient_penalty.weight={from:10,to:1,end_steps:6}",
        "ema.start_kimg=0.03",
        "ema.half_life_kimg=0.05",
        "ema.ramp_up=null",
    ],
    "spectral normalization": ["reg=[sn,ortho]"],
    "moving on every pass": ["reg=sn", "state_updates=every_forward"],
    "unconditional": ["data.num_classes=0", "data.mirror=true", "data.dequantize=true", "clip.generator=0.1"],
    "bigan with sampled codes": ["game=bigan", "game.stochastic=true", "encoder.width=4", "game.width=8"],
    "meg": ["game=meg", "statistics.width=4", "game.discriminator_steps=2"],
    "points": ["data=ring", "data.count=100", "generator=mlp", "discriminator=mlp", "data.labels=modes", "reg=r1"],
    "features that are drawn": [
        "data=ring",
        "data.count=100",
        "generator=mlp",
        "discriminator=mlp",
        "prior=mixture",
        "discriminator.fourier_features=4",
    ],
    "ebgan": ["game=ebgan", "discriminator=autoencoder", "discriminator.code_dim=4"],
}


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_resumed_run_equals_one_that_never_stopped(train: Train, options: list[str]) -> None:
    whole = train(*options, name="whole", steps=7)
    parts = train(*options, name="parts", steps=3)
    session.resume(parts, {"trainer.max_steps": 7})
    assert_bit_equal(state(parts), state(whole))
    assert metrics(parts) == metrics(whole)
    assert state(parts)["global_step"] == 7
    assert state(whole)["ganlab"]["progress"]["images_seen"] > 0


def test_a_resumed_run_of_a_game_without_a_discriminator_equals_one_that_never_stopped(tmp_path: Path) -> None:
    words = [word for word in TINY if not word.startswith("discriminator")]
    words += ["game=introvae", "encoder.width=4", "game.update=optimistic"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, steps in ((whole, 5), (parts, 3)):
        session.start(compose.read([*words, f"trainer.max_steps={steps}", f"run.dir={folder}"]))
    session.resume(parts, {"trainer.max_steps": 5})
    assert_bit_equal(state(parts), state(whole))


def test_state_that_a_resumed_run_needs_is_not_constant(train: Train) -> None:
    """The comparison above would prove nothing about numbers that do not move."""
    folder = train(
        *OPTIONS["vib's dual variable"],
        "game.update=optimistic",
        "checkpoint.every_steps=1",
        "checkpoint.keep=3",
        steps=3,
    )
    early, late = state(folder, "step_000000001.ckpt"), state(folder)
    for name in ("average.generator", "regularizers.vib.beta", "game.discriminator"):
        moved = [key for key in late["state_dict"] if key.startswith(name)]
        assert moved, name
        assert any(not torch.equal(early["state_dict"][key], late["state_dict"][key]) for key in moved), name
    assert not torch.equal(early["ganlab"]["optimistic"]["generator"][0], late["ganlab"]["optimistic"]["generator"][0])


ROBUST = ["reg=[sn,r1]", "reg.r1.interval_steps=3", "accumulate=2", "checkpoint.every_steps=2", "checkpoint.keep=1"]
STEPS = 8

# a checkpoint at iterations 2, 4, 6, 8: the renames are next; next, step, last; next, step, last; ...
KILLS = [
    ("in an iteration", 2 * 4 + 2),
    ("in an iteration", 2 * 6 + 3),
    ("while writing", 2),
    ("while writing", 4),
    *[(moment, count) for moment in ("before a rename", "after a rename") for count in (4, 5, 6, 7, 8)],
    ("before a surplus one goes", 1),
    ("in a line of metrics", 5),
]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:

    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    return session.start(compose.read([*TINY, *ROBUST, f"trainer.max_steps={STEPS}", f"run.dir={folder}"])).folder


@pytest.mark.parametrize(("moment", "count"), KILLS)
def test_a_run_killed_at_this_moment_resumes_as_if_nothing_had_happened(
    tmp_path: Path, uninterrupted: Path, moment: str, count: int
) -> None:
    folder = tmp_path / "run"
    code = killed([*TINY, *ROBUST, f"trainer.max_steps={STEPS}", f"run.dir={folder}"], moment, count)
    assert code == -signal.SIGKILL
    before = checkpoints.newest(folder / run_folder.CHECKPOINTS)[1]["ganlab"]["progress"]["iteration"]
    assert before % 2 == 0
    assert 0 < before < STEPS
    session.resume(folder)
    assert_bit_equal(state(folder), state(uninterrupted))
    assert metrics(folder) == metrics(uninterrupted)
    assert not [name for name in files(folder) if name.endswith(".part") or "next" in name]
    assert len(list((folder / run_folder.CHECKPOINTS).iterdir())) <= 2


def test_a_run_killed_at_random_times_again_and_again_resumes_as_if_nothing_had_happened(
    tmp_path: Path, uninterrupted: Path
) -> None:
    chance = random.Random(0)
    for trial in range(4):
        folder = tmp_path / str(trial)
        words = [*TINY, *ROBUST, f"trainer.max_steps={STEPS}", f"run.dir={folder}"]
        code = killed(words, "after seconds", chance.uniform(0.3, 1.2))
        if code == 0:
            assert_bit_equal(state(folder), state(uninterrupted))
        elif (folder / run_folder.CHECKPOINTS / checkpoints.LAST).is_file():
            try:
                session.resume(folder)
            except GanlabError as error:
                assert "finished" in str(error)
            assert_bit_equal(state(folder), state(uninterrupted))
            assert metrics(folder) == metrics(uninterrupted)


EACH = ["before another file's replacement"] + [
    pytest.param(moment, marks=pytest.mark.slow) for moment in ("before any replacement", "after any replacement")
]


def go_on(folder: Path, words: list[str]) -> None:
    """Resume as a user does."""
    try:
        session.resume(folder)
    except GanlabError as error:
        if "so it is finished" not in str(error):
            assert cli.dispatch(["train", *words]) == 0


@pytest.mark.parametrize("moment", EACH)
def test_a_run_killed_in_the_moment_of_each_files_replacement_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, uninterrupted: Path, moment: str
) -> None:
    for count in range(1, 100):
        folder = tmp_path / str(count)
        words = [*TINY, *ROBUST, "sample.every_steps=4", f"trainer.max_steps={STEPS}", f"run.dir={folder}"]
        if (code := killed(words, moment, count)) == 0:
            break
        assert code == -signal.SIGKILL
        go_on(folder, words)
        assert_bit_equal(state(folder), state(uninterrupted))
        assert metrics(folder) == metrics(uninterrupted)
        assert not [name for name in files(folder) if name.endswith(".part") or "next" in name]
    assert count > 4  # config.yaml, environment.json and two grids at least


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before any replacement", "after any replacement"])
def test_resuming_killed_in_the_moment_of_each_files_replacement_can_be_repeated(
    tmp_path: Path, uninterrupted: Path, moment: str
) -> None:
    begun = tmp_path / "begun"
    assert cli.dispatch(["train", *TINY, *ROBUST, "trainer.max_steps=4", f"run.dir={begun}"]) == 0
    for count in range(1, 100):
        folder = tmp_path / str(count)
        shutil.copytree(begun, folder)
        words = ["resume", str(folder), f"trainer.max_steps={STEPS}"]
        if (code := killed(words, moment, count)) == 0:
            break
        assert code == -signal.SIGKILL
        with contextlib.suppress(GanlabError):  # it is finished
            cli.dispatch(words)
        assert_bit_equal(state(folder), state(uninterrupted))
        assert metrics(folder) == metrics(uninterrupted)
        assert not [name for name in files(folder) if name.endswith(".part") or "next" in name]
    assert count > 3


@pytest.mark.parametrize("count", [10, 11])
def test_a_run_killed_between_the_renames_of_its_last_checkpoint_is_finished(
    tmp_path: Path, uninterrupted: Path, count: int
) -> None:
    folder = tmp_path / "run"
    words = [*TINY, *ROBUST, f"trainer.max_steps={STEPS}", f"run.dir={folder}"]
    assert killed(words, "before a rename", count) == -signal.SIGKILL
    assert (folder / run_folder.CHECKPOINTS / checkpoints.NEXT).is_file()
    with pytest.raises(GanlabError, match="so it is finished"):
        session.resume(folder)
    names = sorted(path.name for path in (folder / run_folder.CHECKPOINTS).iterdir())
    assert names == ["last.ckpt", "step_000000006.ckpt"]
    for name in names:
        assert_bit_equal(state(folder, name), state(uninterrupted, name))


def test_a_run_killed_before_its_first_checkpoint_says_so_and_can_be_started_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    words = [*TINY, *ROBUST, f"trainer.max_steps={STEPS}", f"run.dir={folder}"]
    assert killed(words, "while writing", 1) == -signal.SIGKILL
    with pytest.raises(GanlabError, match="holds no checkpoint: the run stopped before its first one"):
        session.resume(folder)
    assert cli.dispatch(["train", *words]) == 0


@pytest.mark.slow
def test_the_installed_command_survives_sigkill(tmp_path: Path, command: Start, uninterrupted: Path) -> None:
    folder = tmp_path / "run"
    words = [*TINY, *ROBUST, f"trainer.max_steps={STEPS}", f"run.dir={folder}"]
    running = command("train", *words)
    running.wait_for(lambda: (folder / run_folder.CHECKPOINTS / "last.ckpt").exists())
    running.signal(signal.SIGKILL)
    assert running.end()[0] in (-signal.SIGKILL, 0)
    if state(folder)["ganlab"]["progress"]["iteration"] < STEPS:
        assert cli.dispatch(["resume", str(folder)]) == 0
    assert_bit_equal(state(folder), state(uninterrupted))


# --- what may change when a run is resumed, and what may not


def resume(folder: Path, *words: str) -> int:
    return cli.dispatch(["resume", str(folder), *words])


def test_a_finished_run_says_so_and_goes_on_when_given_more(copied: Path) -> None:
    with pytest.raises(
        GanlabError, match=r"has done 4 of trainer.max_steps=4 iterations, so it is finished.*trainer.max_steps=8"
    ):
        resume(copied)
    assert resume(copied, "trainer.max_steps=6") == 0
    assert state(copied)["ganlab"]["progress"] == {"iteration": 6, "images_seen": 48, "images_consumed": 48}
    assert run_folder.read_config(copied).max_steps == 6
    assert [line["iteration"] for line in metrics(copied)] == [1, 2, 3, 4, 5, 6]


def test_a_run_that_has_shown_its_images_says_so(train: Train) -> None:
    folder = train("run.max_kimg=0.016", steps=100)
    with pytest.raises(GanlabError, match=r"has done 0.016 of run.max_kimg=0.016 kimg, so it is finished"):
        resume(folder)
    assert resume(folder, "run.max_kimg=0.04") == 0
    assert state(folder)["ganlab"]["progress"]["iteration"] == 5


REFUSED = {
    "generator.width=6": "generator.width cannot change from 4 to 6: the weights in the checkpoint belong to networks",
    "discriminator.width=6": "discriminator.width cannot change from 4 to 6",
    "data.image_size=64": "data.image_size cannot change from",
    "data.num_classes=0": "data.num_classes cannot change from 10 to 0",
    "game.discriminator_steps=2": "game.discriminator_steps cannot change",
    "generator.widht=6": "no option 'generator.widht'. Did you mean 'width'",
    "trainer.max_step=9": "no option 'max_step'. Did you mean 'max_steps'",
    "trianer.max_steps=9": "no option 'trianer.max_steps'",
    "nonsense=1": "no option 'nonsense'",
    "loss=wasserstein": "loss names cannot be exchanged in a run that has begun",
    "loss.component=wasserstein": "cannot be exchanged in a run that has begun",
    "reg=sn": "cannot be exchanged in a run that has begun",
    "run.dir=elsewhere": "a run goes on in its own folder",
    "trainer.max_steps=many": "trainer.max_steps must be a whole number",
    "trainer.max_steps=2": "has done 4 of trainer.max_steps=2 iterations",
    "seed=x": "seed must be a whole number",
    "checkpoint.every_steps=0": "checkpoint.every_steps must be at least 1",
    "optimizer.generator.lr=fast": "optimizer.generator.lr must be a number",
    "optimizer.generator.lr=-1": "optimizer.generator: lr must be",
    "sample.count=1.5": "sample.count must be a whole number",
    "data=5": "cannot be exchanged",
    "seed=0,1": "seed=0,1 has several values",
}


@pytest.mark.parametrize("word", REFUSED)
def test_options_that_do_not_fit_a_begun_run_are_refused_with_the_reason(copied: Path, word: str) -> None:
    before = {name: (copied / name).stat().st_mtime_ns for name in files(copied)}
    words = [word] if word.startswith("trainer.max_steps") else [word, "trainer.max_steps=8"]
    with pytest.raises(GanlabError) as caught:
        resume(copied, *words)
    assert REFUSED[word] in str(caught.value)
    assert {n: t for n, t in before.items() if (copied / n).is_file()} == {
        n: (copied / n).stat().st_mtime_ns for n in files(copied) if (copied / n).is_file()
    }, "a refused resume changes nothing"


def test_options_that_change_a_regularizers_modules_are_refused_by_their_name(train: Train) -> None:
    folder = train("reg=vib", "reg.vib.channels=4")
    with pytest.raises(
        GanlabError, match=r"reg.vib.channels cannot change from 4 to 8: the weights in the checkpoint belong"
    ):
        resume(folder, "reg.vib.channels=8", "trainer.max_steps=6")
    assert resume(folder, "reg.vib.information=0.2", "trainer.max_steps=6") == 0


def test_a_changed_learning_rate_counts(copied: Path) -> None:
    """torch's optimizers bring their old rates out of the checkpoint."""
    assert (
        resume(
            copied, "optimizer.generator.lr=0.5e-3", "optimizer.discriminator.betas=[0.1,0.9]", "trainer.max_steps=6"
        )
        == 0
    )
    discriminator, generator = (s["param_groups"][0] for s in state(copied)["optimizer_states"])
    assert generator["lr"] == 0.5e-3
    assert tuple(discriminator["betas"]) == (0.1, 0.9)
    rates = [line["generator/learning_rate"] for line in metrics(copied)]
    assert rates == [2e-4] * 4 + [5e-4] * 2


def test_a_run_folder_may_be_moved(copied: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    copied.rename(moved)
    assert resume(moved, "trainer.max_steps=5") == 0
    assert run_folder.read_config(moved).run.dir == str(moved)
    assert not copied.exists()


def test_a_run_is_not_resumed_while_another_process_trains_it(copied: Path) -> None:
    with run_folder.claimed(copied, again=True), pytest.raises(GanlabError, match="Another process is training in"):
        resume(copied, "trainer.max_steps=6")
    assert resume(copied, "trainer.max_steps=6") == 0
    assert run_folder.LOCK not in files(copied)
