"""A new role of games is one entry in `ganlab.core.kinds`, a game that takes it, and a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
from support.runs import TINY, Train
from torch import Tensor, nn

from ganlab import cli
from ganlab.config import compose
from ganlab.contracts import Objectives, Turn, View
from ganlab.core import kinds, registry
from ganlab.core.errors import GanlabError
from ganlab.core.softplus import softplus
from ganlab.games.standard import Standard
from ganlab.runs import session

CRITIC = kinds.network("ganlab.critics", "second critic", "latent_dim")


class Critic(nn.Module):
    """A second judge of images.

    Args:
        width: Hidden units.
    """

    def __init__(self, image_size: tuple[int, int], image_channels: int, latent_dim: int, width: int = 4) -> None:
        super().__init__()
        height, across = (image_size, image_size) if isinstance(image_size, int) else image_size
        self.image_shape, self.latent_dim = (image_channels, height, across), latent_dim
        first = nn.Linear(image_channels * height * across, width)
        self.layers = nn.Sequential(nn.Flatten(), first, nn.Tanh(), nn.Linear(width, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).flatten()


class Twofold(Standard):
    """The standard game with a second critic, who plays with the discriminator."""

    companions: ClassVar[Mapping[str, str]] = {"critic2": "toy"}

    def __init__(
        self, *, generator: nn.Module, discriminator: nn.Module, critic2: nn.Module, loss: Any, weight: float = 1.0
    ) -> None:
        super().__init__(generator=generator, discriminator=discriminator, loss=loss)
        self.critic2, self.weight = critic2, weight
        self.add_modules("discriminator", critic2=critic2)

    def objective(self, turn: Turn, view: View) -> Objectives:
        found = super().objective(turn, view)
        if turn.name == "main" and "discriminator" in turn.players:
            real, fake = (view.run("critic2", points.images) for points in (view.reals, view.fakes()))
            found["discriminator"]["second"] = self.weight * (softplus(-real) + softplus(fake)).mean()
        return found


@pytest.fixture
def critic2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(kinds.KINDS, "critic2", CRITIC)
    monkeypatch.setattr(registry, "_registered", {})
    registry.forget()
    registry.register("critic2", "toy")(Critic)
    registry.register("game", "twofold")(Twofold)
    yield
    monkeypatch.undo()
    registry.forget()


def test_a_new_role_is_one_kind_a_game_and_a_network(
    critic2: None, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train("game=twofold", "critic2.width=5", steps=10)
    assert session.resume(folder, {"trainer.max_steps": 12}).exit_code == 0
    with pytest.raises(GanlabError, match=r"critic2.width cannot change from 5 to 6"):
        session.resume(folder, {"trainer.max_steps": 14, "critic2.width": 6})
    capsys.readouterr()
    assert cli.dispatch(["list", "critic2"]) == 0
    assert "toy  [this process] A second judge of images." in capsys.readouterr().out
    assert cli.dispatch(["show", "critic2", "toy"]) == 0
    assert "critic2.width=4" in capsys.readouterr().out
    assert cli.dispatch(["complete", "--", "train", "critic2="]) == 0
    assert capsys.readouterr().out.split() == ["critic2=toy", "critic2=none"]


def test_a_run_leaves_a_new_role_empty_unless_its_game_takes_it(critic2: None) -> None:
    assert compose.composed([*TINY])["critic2"] == {}
    assert compose.read([*TINY, "game=twofold"])["critic2"].plain() == {"component": "toy", "width": 4}


def test_labels_go_to_who_makes_images_and_to_one_judge() -> None:
    assert kinds.labelled(["generator", "discriminator", "encoder"]) == ("generator", "discriminator")
    assert kinds.labelled(["encoder", "generator", "statistics"]) == ("generator", "encoder")
