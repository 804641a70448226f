"""Path length regularization: arXiv:1912.04958."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.engine import Engine, pair
from support.gradients import gradient
from support.rehearsals import DISCRIMINATOR, GENERATOR
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Turn
from ganlab.contracts.view import View
from ganlab.games.standard import Standard
from ganlab.losses.non_saturating import NonSaturating
from ganlab.regularizers.path_length import PathLength
from ganlab.testing import ToyDiscriminator, check_regularizer, toy_view

PUBLISHED = {
    name: torch.tensor(array) for name, array in np.load(Path(__file__).parent / "fixtures" / "path_length.npz").items()
}
TURN = Turn(("generator",), every=4, batch=0.5, reals=None, name="path_length")


class Styled(nn.Module):
    """w = tanh(V z) for 3 layers; image = sum of tanh(A_l w_l): the toy generator of the fixture."""

    image_shape, latent_dim, num_classes = (2, 3, 4), 5, 0

    def __init__(self) -> None:
        super().__init__()
        self.V, self.A = nn.Parameter(PUBLISHED["V"].clone()), nn.Parameter(PUBLISHED["A"].clone())

    def mapping(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return (z @ self.V.T).tanh()

    def styles(self, w: Tensor) -> Tensor:
        return w[:, None].expand(-1, 3, -1)

    def synthesis(self, ws: Tensor) -> Tensor:
        return torch.einsum("lij,blj->bli", self.A, ws).tanh().sum(1).view(-1, *self.image_shape)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.synthesis(self.styles(self.mapping(z)))


class Linear(nn.Module):
    """x = W z: J = W everywhere."""

    image_shape, latent_dim, num_classes = (2, 3, 4), 5, 0

    def __init__(self) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.randn(24, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return (z @ self.W.T).view(-1, *self.image_shape)


def made(generator: nn.Module, **options: Any) -> tuple[Standard, PathLength]:
    regularizer = PathLength(**options)
    game = Standard(generator=generator, discriminator=ToyDiscriminator((2, 3, 4)), loss=NonSaturating())
    regularizer.attach(game)
    return game, regularizer.double()


def view_of(game: Game, regularizer: Regularizer, key: tuple[int, ...] = (0,), turn: Turn = TURN) -> View:
    return toy_view(game, [regularizer], turn, reals=torch.zeros(6, 2, 3, 4, dtype=torch.float64), key=key)


def test_it_keeps_the_contract() -> None:
    assert check_regularizer(PathLength(decay=0.5)) == []


def test_gradients_and_the_mean_are_those_of_the_published_loss_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = Styled()
    game, regularizer = made(generator)
    for step in range(3):
        view = view_of(game, regularizer)
        view._cache["z"] = PUBLISHED["z"][step]
        monkeypatch.setattr(view.stream, "draw_on_rank", lambda *_, drawn=PUBLISHED["y"][step]: drawn)
        term = view.objectives()["generator"]["path_length"]
        found = torch.autograd.grad(term, [generator.V, generator.A])
        view.pending.settle()
        for slope, name in zip(found, ("dV", "dA"), strict=True):
            assert_close(slope, PUBLISHED[f"{name} {step}"])
        assert_close(regularizer.length, PUBLISHED[f"mean {step}"])


def test_without_a_w_space_it_is_the_jacobian_by_the_latents() -> None:
    """||J^T y|| = ||W^T y|| for x = W z, with y ~ N(0, 1)/sqrt(12)."""
    generator = Linear()
    game, regularizer = made(generator, weight=3.0, decay=0.2, interval_steps=5)
    regularizer.length.fill_(0.5)
    view, again = view_of(game, regularizer), view_of(game, regularizer)
    y = again.stream.draw_on_rank("path_length", (6, 2, 3, 4)).double().flatten(1) / 12**0.5
    lengths = (y @ generator.W).norm(dim=1)
    average = 0.8 * 0.5 + 0.2 * lengths.mean()
    expected = 5 * 3 * (lengths - average).square().mean()
    found = view.objectives()["generator"]["path_length"]
    assert_close(found, expected)
    slopes = (torch.autograd.grad(value, generator.W)[0] for value in (found, expected))
    assert_close(*slopes)


def test_it_plays_in_a_turn_of_its_own_every_fourth_iteration_on_half_the_batch() -> None:
    generator, discriminator = pair()
    game = Standard(generator=generator, discriminator=discriminator, loss=NonSaturating())
    regularizer = PathLength()
    engine = Engine(game, {"path_length": regularizer}, rate=0.01)
    for _ in range(5):
        engine.iterate()
    own = [i for i, turn in enumerate(engine.turns_played) if turn.name == "path_length"]
    assert own == [2, 11]  # two turns an iteration beside it
    assert [turn.batch for turn in engine.turns_played if turn.name == "path_length"] == [0.5, 0.5]
    assert game.players["generator"].lazy_steps == 0.25
    assert regularizer.length > 0
    (hook,) = view_of(game, regularizer).hooks.terms
    assert hook.acts_in(TURN)
    assert not any(hook.acts_in(turn) for turn in (GENERATOR, DISCRIMINATOR))


def test_growing_generators_count_the_layers_in_use() -> None:
    from ganlab.models.stylegan import Generator

    generator = Generator(16, 1, latent_dim=6, width=64, max_width=8).double()
    game, regularizer = made(generator)
    generator.set_stage(0, 1.0)
    view = view_of(game, regularizer)
    term = regularizer.terms("generator", view)["path_length"]
    assert term > 0
    term.backward()
    assert gradient(next(generator.mapping.parameters())).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight must be finite and at least 0"),
        ({"decay": 0.0}, r"decay must be in \(0, 1\], got 0"),
        ({"batch": 1.5}, r"batch must be in \(0, 1\], got 1.5"),
        ({"interval_steps": 0}, "interval_steps must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PathLength(**options)


def test_a_constant_generator_has_finite_gradients() -> None:
    """||J^T y|| = 0 has no derivative; 0 is taken, where a plain root would give a NaN."""
    generator = Linear()
    game, regularizer = made(generator)
    generator.W.data.zero_()
    term = regularizer.terms("generator", view_of(game, regularizer))["path_length"]
    (slope,) = torch.autograd.grad(term, generator.W)
    assert_close(slope, torch.zeros_like(slope))


def test_a_batch_that_its_turn_cannot_halve_is_refused_with_the_reason() -> None:
    from ganlab.core.errors import GanlabError
    from ganlab.engine import batch_check

    generator, discriminator = pair()
    game = Standard(generator=generator, discriminator=discriminator, loss=NonSaturating())
    engine = Engine(game, {"path_length": PathLength()}, batch_size=1, rate=0.01)
    with pytest.raises(GanlabError, match=r"a share of 0.5 of it in one turn"):
        batch_check.check(engine.module, 1)
    with pytest.raises(GanlabError, match=r"try data\.batch_size=2\.$"):
        batch_check.check(engine.module, 1)
    engine = Engine(game, {"again": PathLength()}, batch_size=10, rate=0.01, accumulate=2)
    with pytest.raises(GanlabError, match=r"try data\.batch_size=8 or 12\.$"):
        batch_check.check(engine.module, 1)
