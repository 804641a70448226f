"""Evaluation of networks that are still growing: images at full size, and a discriminator that sees its stage's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.growing import WORDS, installed

from ganlab import cli
from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.evaluation import scores, sources
from ganlab.runs import run_folder, session
from ganlab.runs.run import Run
from ganlab.sampling import generation

# levels of 4, 8 and 16 pixels: iterations 1 to 4 stable at 4, 5 to 10 fading in 8, and so on
SMALL = ("features.dim=8", "features.width=4", "features.kimg=2")


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """After 3 iterations at 4 pixels and after 8 in the fade to 8, of 16."""
    folder = tmp_path_factory.mktemp("growing") / "run"
    words = [*WORDS, "trainer.max_steps=8", "checkpoint.every_steps=3", f"run.dir={folder}"]
    with installed():
        yield session.start(compose.read(words)).folder


@pytest.fixture
def run(growing: Path) -> Run:
    return Run.of(growing, experiment.build(run_folder.read_config(growing)))


def test_every_checkpoint_of_a_growing_run_is_scored(
    growing: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path_factory.getbasetemp() / "evaluation-cache"))
    metrics = "metrics=fid,spectrum,ms_ssim,memorization"
    cli.dispatch(["evaluate", str(growing), metrics, *SMALL, "samples=40", "checkpoint=all", "real=false"])
    records = scores.read(growing)
    assert [r["subject"]["iteration"] for r in records] == [3, 6, 8]
    assert all(r["values"]["spectrum"]["value"] is not None for r in records)


def test_images_are_enlarged_by_repeating_pixels(run: Run) -> None:
    where = run.folder / "checkpoints"
    for name, size, times in (("step_000000003.ckpt", 4, 4), ("last.ckpt", 8, 2)):
        run.load(where / name)
        generator, prior = run.generator, run.module.setting.prior
        made, _, _ = sources.of_generator(generator, prior, 5, 0, None, (1, 16, 16)).rows(0, 5)
        small = generation.to_uint8(generator(generation.latents(prior, 0, 5, generator.latent_dim)))
        assert small.shape == (5, 1, size, size)
        rows = torch.arange(16) // times
        assert torch.equal(made, small[:, :, rows][:, :, :, rows])


def test_the_discriminator_sees_images_of_its_stage_and_only_real_ones_fade_in(run: Run) -> None:
    """By loops: means of the boxes of 2 x 2 pixels, rounded; and of real ones alpha parts of that and 1 - alpha of the
    means of its own boxes of 2 x 2."""
    run.load("last")
    assert run.module.stage is not None
    alpha = run.module.stage.alpha
    assert 0 < alpha < 1
    images = torch.randint(0, 256, (6, 1, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    small = torch.empty(6, 1, 8, 8)
    for v in range(8):
        for u in range(8):
            small[:, :, v, u] = images[:, :, 2 * v : 2 * v + 2, 2 * u : 2 * u + 2].float().mean((2, 3)).round()
    small = small / 127.5 - 1
    faded = torch.empty(6, 1, 8, 8)
    for v in range(8):
        for u in range(8):
            box = small[:, :, v // 2 * 2 : v // 2 * 2 + 2, u // 2 * 2 : u // 2 * 2 + 2].mean((2, 3))
            faded[:, :, v, u] = alpha * small[:, :, v, u] + (1 - alpha) * box
    discriminator = run.discriminator()
    assert discriminator is not None
    with torch.no_grad():
        network: Any = run.module.game.discriminator
        generated, real = (network(x) for x in (small, faded))
    torch.testing.assert_close(discriminator(images, None, False), generated)
    torch.testing.assert_close(discriminator(images, None, True), real)
    assert not torch.allclose(generated, real)
