"""The largest singular value held: arXiv:1809.11096, sec. 4.1."""

from typing import Any

import pytest
import torch
from support.gradients import gradient
from support.rehearsals import DISCRIMINATOR, GENERATOR, change_gradients, end_step
from support.spectral import list_of
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab.contracts.game import Game
from ganlab.contracts.turn import Turn
from ganlab.core.errors import GanlabError
from ganlab.regularizers.singular_value import SingularValue, top_singular_values
from ganlab.regularizers.sn import SpectralNormalization
from ganlab.testing import check_regularizer, toy_game


class Networks(Game):
    """A player with one layer of every kind, in float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.generator = nn.ModuleDict(
            {
                "convolution": nn.Conv2d(3, 8, 3),
                "twin": nn.Conv2d(3, 8, 3),
                "tall": nn.Conv2d(2, 30, 1),
                "grouped": nn.Conv2d(6, 8, 3, groups=2),
                "up": nn.ConvTranspose2d(5, 4, 2),
                "linear": nn.Linear(5, 7),
                "row": nn.Linear(5, 1),
                "embedding": nn.Embedding(4, 6),
            }
        ).double()
        self.add_modules("generator", generator=self.generator)

    def matrices(self) -> dict[str, list[Tensor]]:
        weights = {n: layer.get_parameter("weight") for n, layer in self.generator.items()}
        rows = {n: [weights[n].flatten(1)] for n in ("convolution", "twin", "tall", "linear", "row")}
        rows["grouped"] = [w.flatten(1) for w in weights["grouped"].split(4)]
        rows["up"] = [weights["up"].transpose(0, 1).flatten(1)]
        return rows


def bound_of(values: Tensor, bound: float | None, ratio: float) -> float | Tensor:
    return bound if bound is not None else ratio * values[1].detach()


@pytest.mark.parametrize(
    "options", [{}, {"method": "clamp", "bound": 0.2}, {"players": ("generator", "discriminator")}]
)
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    assert check_regularizer(SingularValue(**options)) == []


@pytest.mark.parametrize("bound", [None, 0.3])
def test_the_penalty_adds_the_gradient_that_autograd_finds_through_a_decomposition(bound: float | None) -> None:
    game, regularizer = Networks(), SingularValue(weight=0.7, bound=bound, ratio=1.2)
    regularizer.attach(game)
    total = torch.zeros(())
    for matrices in game.matrices().values():
        for matrix in matrices:
            values = torch.linalg.svdvals(matrix)
            if bound is not None or len(values) > 1:
                total = total + 0.7 * (values[0] - bound_of(values, bound, 1.2)).square()
    total.backward()
    expected = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in game.generator.named_parameters()}
    for parameter in game.generator.parameters():
        parameter.grad = torch.zeros_like(parameter)
    change_gradients(game, regularizer, GENERATOR, {"generator": [gradient(p) for p in game.generator.parameters()]})
    assert_close({n: p.grad for n, p in game.generator.named_parameters()}, expected)


@pytest.mark.parametrize("bound", [None, 0.3])
def test_the_clamp_lowers_what_is_above_the_bound_and_nothing_else(bound: float | None) -> None:
    """All other singular values, and all vectors, stay; W - (s0 - s) u0 v0^T has s in place of s0."""
    game, regularizer = Networks(), SingularValue("clamp", bound=bound, ratio=1.1)
    regularizer.attach(game)
    with torch.no_grad():
        game.generator["twin"].get_parameter("weight").mul_(1e-3)
    before = {n: [torch.linalg.svd(m.detach(), full_matrices=False) for m in ms] for n, ms in game.matrices().items()}
    table = game.generator["embedding"].get_parameter("weight").clone()
    end_step(game, regularizer, GENERATOR)
    for name, matrices in game.matrices().items():
        for matrix, (u, values, v) in zip(matrices, before[name], strict=True):
            if bound is not None or len(values) > 1:
                values = values.clone()
                values[0] = min(values[0], bound_of(values, bound, 1.1))
            assert_close(matrix.detach(), u @ torch.diag(values) @ v)
    assert torch.equal(game.generator["embedding"].get_parameter("weight"), table)


def test_the_top_of_matrices_of_zeros_is_finite() -> None:
    first, second, outer = top_singular_values(torch.zeros(2, 3, 4))
    assert not any(x.any() for x in (first, second, outer))
    assert top_singular_values(torch.full((1, 1), -3.0))[0] == 3


def test_it_acts_in_its_players_main_turn_on_weights_before_spectral_norm() -> None:
    for order in (0, 1), (1, 0):
        game, both = Networks(), [SingularValue("clamp", bound=0.1), SpectralNormalization(("generator",))]
        for i in order:
            both[i].attach(game)
        original = list_of(game.generator["convolution"]).original
        before = original.detach().clone()
        for turn in (DISCRIMINATOR, Turn(("generator",), every=4, name="path_length")):
            end_step(game, both[0], turn)
            assert torch.equal(original, before)
        end_step(game, both[0], GENERATOR)
        # the second singular value is the largest now
        second = torch.linalg.svdvals(before.flatten(1))[1]
        assert_close(torch.linalg.matrix_norm(original.detach().flatten(1), 2), second)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "clip"}, "method must be one of penalty, clamp, got 'clip'"),
        ({"weight": -1.0}, "weight must be finite and at least 0"),
        ({"bound": 0.0}, "bound must be finite and positive, got 0"),
        ({"ratio": -1.0}, "ratio must be finite and positive"),
        ({"players": ()}, "players must name at least one"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SingularValue(**options)


def test_a_player_that_the_game_lacks_is_refused() -> None:
    with pytest.raises(GanlabError, match=r"reg\.singular_value\.players: this game has no player 'encoder'"):
        SingularValue(players=("encoder",)).attach(toy_game())
