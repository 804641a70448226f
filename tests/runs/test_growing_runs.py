"""Runs of networks that grow, from the command line: what is written, shown, continued and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.killing import killed
from support.runs import TINY, Train, assert_bit_equal, metrics, picture, state

import ganlab
from ganlab import cli
from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.contracts import plan
from ganlab.core.errors import GanlabError
from ganlab.runs import session

# 4 pixels for the first 5 iterations, 8 fade in over the next 5, and are there for the last 4
PGGAN = ("model=pggan", "loss=wgan_gp", "data.num_classes=0", "data.image_size=8", "generator.width=32",
         "generator.latent_dim=8", "discriminator.width=32", "data.batch_size=8", "sample.count=4", "reg=drift",
         "ema.ramp_up=null", "trainer.log_every_n_steps=1", "trainer.accelerator=cpu")  # fmt: skip
GROWS = (*PGGAN, "growth=progressive", "growth.stable_kimg=0.032", "growth.fade_kimg=0.044")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grown") / "run"
    return session.start(compose.read([*GROWS, "sample.every_steps=4", f"run.dir={folder}"])).folder


@pytest.fixture(scope="module")
def halfway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stopped in the middle of its only fade; not to be changed."""
    folder = tmp_path_factory.mktemp("halfway") / "run"
    return session.start(compose.read([*GROWS, "trainer.max_steps=8", f"run.dir={folder}"])).folder


def test_a_run_without_a_length_lasts_as_long_as_its_schedule(whole: Path) -> None:
    assert state(whole)["ganlab"]["progress"]["images_seen"] == 112  # 32 + 44 + 32 and the rest of a batch
    assert ganlab.load(whole).config.run.max_kimg == pytest.approx(0.108)


def test_stage_alpha_and_image_size_are_in_the_metrics(whole: Path) -> None:
    lines = metrics(whole)
    assert [line["image_size"] for line in lines] == [4] * 5 + [8] * 9
    assert [line["stage"] for line in lines] == [0] * 5 + [1] * 9
    fade = [(kimg - 0.008 - 0.032) / 0.044 for kimg in (line["kimg"] for line in lines[5:10])]
    assert [line["alpha"] for line in lines] == pytest.approx([1.0] * 5 + fade + [1.0] * 4)
    assert lines[5]["alpha"] == pytest.approx(8 / 44)


def test_the_progress_line_says_the_stage(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session.start(compose.read([*GROWS, "trainer.max_steps=7", f"run.dir={tmp_path / 'run'}"]))
    assert f" · stage 1 alpha {16 / 44:.2f} 8x8 · " in capsys.readouterr().out


def test_sample_grids_show_the_size_of_their_stage_large_enough_to_be_seen(whole: Path) -> None:
    for number, size in ((4, 4), (8, 8), (14, 8)):
        shown = picture(whole / f"samples/iteration_{number:09d}.png")
        assert shown.size == (2 + 2 * 34,) * 2
        pixels = torch.from_numpy(np.array(shown.crop((2, 2, 34, 34))))
        blocks = pixels.view(size, 32 // size, size, 32 // size)
        assert (blocks == blocks[:, :1, :, :1]).all()
        assert len(pixels.unique()) > 2
        if size == 8:  # more than 4 pixels enlarged
            quads = blocks[:, 0, :, 0].view(4, 2, 4, 2)
            assert (quads != quads[:, :1, :, :1]).any()


def test_a_run_that_was_killed_in_a_fade_goes_on_bit_for_bit(whole: Path, tmp_path: Path) -> None:
    words = [*GROWS, "sample.every_steps=4", "checkpoint.every_steps=3", f"run.dir={tmp_path / 'run'}"]
    assert killed(words, "in an iteration", 15) == -9  # in the eighth iteration; the last checkpoint is of the sixth
    session.resume(tmp_path / "run")
    assert_bit_equal(state(tmp_path / "run"), state(whole))
    assert metrics(tmp_path / "run") == metrics(whole)


def test_a_half_grown_run_is_sampled_at_its_level(halfway: Path) -> None:
    run = ganlab.load(halfway)
    assert run.sample(2).shape == (2, 1, 8, 8)
    networks: tuple[Any, ...] = (run.generator, run.module.game.generator, run.module.game.discriminator)
    for network in networks:
        assert (network.level, float(network.alpha)) == (1, pytest.approx((7 * 8 - 32) / 44))
    shown = picture(halfway / "samples/iteration_000000008.png").crop((2, 2, 34, 34))
    tile = torch.from_numpy(np.array(shown))[::4, ::4].float()
    made = run.sample(4)[0, 0].add(1).mul(127.5).round().clamp(0, 255)
    assert (tile - made).abs().max() <= 1


def test_a_new_run_from_a_half_grown_one_begins_at_its_own_level(
    halfway: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    early, short = tmp_path / "early", ["data.num_classes=0", "data.batch_size=8", "trainer.max_steps=1"]
    session.start(compose.read([*GROWS, "trainer.max_steps=2", f"run.dir={early}"]))
    for folder, say in ((early, True), (halfway, False)):
        capsys.readouterr()
        assert cli.dispatch(["train", f"init={folder}", *short, f"run.dir={tmp_path / folder.name}_next"]) == 0
        assert ("has grown to 4x4 only" in capsys.readouterr().out) == say
        generator = ganlab.load(tmp_path / f"{folder.name}_next").generator
        assert (generator.level, float(generator.alpha)) == (1, 1.0)
    assert cli.dispatch(["train", f"init={halfway}", *GROWS[-3:], *short, f"run.dir={tmp_path / 'again'}"]) == 0
    assert ganlab.load(tmp_path / "again").generator.level == 0


def test_the_benchmark_measures_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        *GROWS[:-2],
        "growth.stable_kimg=0.1",
        "growth.fade_kimg=0.1",
        "growth.batch_sizes={4:16}",
        "warmup=0",
        "iterations=1",
        "repeats=1",
    ]
    for kimg, size, batch in ((0, 4, 16), (0.11, 8, 8)):
        assert cli.dispatch(["bench", *words, f"kimg={kimg}"]) == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (result["image_size"], result["batch_size"]) == (size, batch)
        assert result["images_per_second"] * result["seconds_per_iteration"] == pytest.approx(batch)


def test_without_growth_networks_that_can_grow_have_their_full_size(train: Train) -> None:
    folder = train(*PGGAN, steps=1)
    assert "stage" not in metrics(folder)[0]
    assert ganlab.load(folder).sample(1).shape == (1, 1, 8, 8)


def test_learning_rates_follow_the_size(train: Train) -> None:
    options = ("growth.learning_rate_factors={8:1.5,512:3}", "optimizer.generator.lr={from:1e-3,to:5e-4,end_kimg:0.08}")
    lines = metrics(train(*GROWS, *options, steps=7))
    assert [line["discriminator/learning_rate"] for line in lines] == pytest.approx([1e-3] * 5 + [1.5e-3] * 2)
    expected = [(1e-3 - 5e-4 * (line["kimg"] - 0.008) / 0.08) * (1 if line["stage"] == 0 else 1.5) for line in lines]
    assert [line["generator/learning_rate"] for line in lines] == pytest.approx(expected, rel=1e-4)


def test_the_growth_of_a_run_may_not_become_another(halfway: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(halfway, tmp_path / "copied"))
    with pytest.raises(GanlabError, match="cannot be exchanged"):
        session.resume(copied, {"growth.component": "other"})


REFUSED = {
    "generator=dcgan growth=progressive": "growth=progressive: the generator 'dcgan' cannot grow",
    "generator.width=32 model=dcgan generator=pggan growth=progressive": "the discriminator 'dcgan' cannot grow",
    "growth=progressive growth.start_size=16": "growth: start_size=16 is above the size of the images, 8.",
    "growth=progressive growth.start_size=6": "growth: start_size must be one of 4, 8, got 6.",
    "growth=progressive growth.stable_kimg=[1,2,3]": "stable_kimg must be one number, or one for each of the levels at",
    "growth=progressive growth.fade_kimg=-1": "growth: fade_kimg must be finite and at least 0",
    "growth=progressive growth.stable_kimg=0 growth.fade_kimg=0": "stable_kimg and fade_kimg are both 0 at 4 pixels",
    "growth=progressive growth.fade_kimg=0.007": "fade_kimg is 0.007 at 8 pixels, shorter than one batch of 8 images: ",
    "growth=progressive run.max_kimg=600": "run.max_kimg=600 ends before the networks grow for the first time, at",
    "growth=progressive growth.batch_sizes={6:8}": "batch_sizes names 6 pixels, but the networks' sizes are 4, 8",
    "growth=progressive growth.batch_sizes={4:0}": "batch_sizes at 4 pixels must be finite and at least 1, got 0",
    "growth=progressive growth.batch_sizes={4:9} accumulate=2": "growth.batch_sizes.4=9 does not divide into",
    "growth=progressive growth.batch_sizes={4:16} optimizer.generator.lr={from:1,to:0,end_steps:9}": "not in steps",
    "growth=progressively": "No schedule of growth is called 'progressively'. Did you mean 'progressive'?",
    "growth=": "For none of it write growth=none.",
    "growth.start_size=4": "'growth.start_size' has no effect without a growth: choose one as growth=progressive.",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_grow_is_refused_in_one_sentence(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [word for word in PGGAN if word.partition("=")[0] not in {w.partition("=")[0] for w in words.split()}]
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", *TINY[-1:], *options, *words.split(), f"run.dir={tmp_path / 'run'}"])
    assert caught.value.code == 2
    assert REFUSED[words] in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_images_that_no_level_divides_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", *PGGAN, "growth=progressive", "data.image_size=9", f"run.dir={tmp_path / 'run'}"])
    assert "generator: " in capsys.readouterr().err


def test_max_kimg_counts_the_images_of_every_batch(train: Train) -> None:
    game = experiment.build(compose.read([*GROWS, "growth.batch_sizes={4:16}"])).module.game
    progress = plan.Progress()
    while progress.images_seen < 108:
        progress = plan.plan(game, progress, 8).advance(progress)
    folder = train(*GROWS, "growth.batch_sizes={4:16}", "trainer.max_steps=-1", "run.max_kimg=0.108")
    assert state(folder)["ganlab"]["progress"] == vars(progress)
    assert progress.images_seen == 3 * 16 + 8 * 8


def test_instruments_see_images_at_the_stage_and_the_same_ones_afterwards(tmp_path: Path) -> None:
    """Lines at 4 pixels, in the middle of the fade to 8, and at 8; checkpoints of the latter two."""
    folder = session.start(
        compose.read(
            [*GROWS, "watch=[memorization,diversity]", "watch.every_steps=4", "checkpoint.every_steps=4",
             "watch.memorization.samples=16", "watch.diversity.samples=16", f"run.dir={tmp_path / 'run'}"]
        )
    ).folder  # fmt: skip
    logged = {line["iteration"]: line for line in metrics(folder) if "diversity/vendi" in line}
    assert list(logged) == [4, 8, 12]
    assert cli.dispatch(["watch", str(folder), "checkpoint=all"]) == 0
    again = [json.loads(line) for line in (folder / "watch.jsonl").read_text().splitlines()]
    assert {line["iteration"] for line in again} >= {8, 12}
    for line in again[:-1]:
        numbers = {name: value for name, value in line.items() if "/" in name}
        assert {"memorization/d_gap", "diversity/distance"} <= numbers.keys()
        assert {name: logged[line["iteration"]][name] for name in numbers} == numbers
    assert cli.dispatch(["watch", str(folder), "what=equilibrium", "equilibrium.depth=6", "checkpoint=8"]) == 0
