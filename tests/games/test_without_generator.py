"""A plug-in's game that takes no generator is trained, and what cannot be done with its runs is one sentence."""

from pathlib import Path
from typing import ClassVar

import pytest
from support.runs import TINY, metrics
from torch import nn

import ganlab
from ganlab import cli
from ganlab.config import compose
from ganlab.contracts.game import Game
from ganlab.contracts.turn import Objectives, Turn
from ganlab.contracts.view import View
from ganlab.core import registry
from ganlab.core.errors import GanlabError
from ganlab.runs import naming, run_folder, session


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The game ``or_noise``: the discriminator learns to tell images from noise; nobody makes any."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))

    @ganlab.register("game", "or_noise")
    class OrNoise(Game):
        averaged: ClassVar[tuple[str, ...]] = ()
        provides = ("discriminator",)

        def __init__(self, *, discriminator: nn.Module) -> None:
            super().__init__()
            self.discriminator = discriminator
            self.add_modules("discriminator", discriminator=discriminator)

        def turns(self) -> list[Turn]:
            return [Turn(("discriminator",), reals="fresh", counts=True)]

        def objective(self, turn: Turn, view: View) -> Objectives:
            assert view.reals is not None
            images, labels = view.reals.images, view.reals.labels
            noise = view.draw("noise", images.shape)
            logits = [self.discriminator(x, labels) for x in (images, noise)]
            loss = nn.functional.softplus(-logits[0]) + nn.functional.softplus(logits[1])
            return {"discriminator": {"loss": loss.mean()}}


WORDS = [word for word in TINY if not word.startswith("generator.")]


def test_it_is_trained_named_resumed_and_begun_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = compose.read([*WORDS, "game=or_noise", "trainer.max_steps=3", f"run.dir={tmp_path / 'run'}"])
    assert "generator" not in config
    assert naming.name(config) == "dcgan_digits_or-noise_0"
    folder = session.start(config).folder
    before = metrics(folder)[-1]["discriminator/loss"]
    session.resume(folder, {"trainer.max_steps": 5})
    assert len(metrics(folder)) == 5
    assert before != metrics(folder)[-1]["discriminator/loss"]
    assert not list((folder / "samples").glob("*"))
    assert run_folder.read_config(folder) is not None
    assert ganlab.load(folder).iteration == 5
    words = [*WORDS, "game=or_noise", f"init={folder}", "trainer.max_steps=1", f"run.dir={tmp_path / 'second'}"]
    assert cli.dispatch(["train", *words]) == 0


NEEDS_ONE = (
    "sample", "sample count=4", "sample out=x/", "sample psi=0.5", "sample kind=interpolation", "sample kind=mixing",
    "sample kind=truncation", "sample labels=1 truncation=0.5", "evaluate", "evaluate protocol=fast",
)  # fmt: skip


def test_what_needs_a_generator_says_that_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = session.start(compose.read([*WORDS, "game=or_noise", "trainer.max_steps=1", "run.dir=run"])).folder
    for line in NEEDS_ONE:
        command, *words = line.split()
        with pytest.raises(GanlabError, match=r"no images to make or to score: its game=or_noise has no generator\.$"):
            cli.dispatch([command, str(folder), *words])


def test_other_games_want_a_generator() -> None:
    with pytest.raises(GanlabError, match="game=standard needs a generator: choose one as generator=NAME"):
        compose.read(["generator=none"])


def test_a_generator_that_is_typed_is_refused() -> None:
    with pytest.raises(GanlabError, match="game=or_noise has no place for generator=sngan"):
        compose.read(["game=or_noise", "generator=sngan"])
