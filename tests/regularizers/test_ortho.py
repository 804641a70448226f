"""Orthogonal regularization: arXiv:1809.11096, eqs. 2 and 3."""

from typing import Any

import pytest
import torch
from support.gradients import gradient
from support.rehearsals import DISCRIMINATOR, GENERATOR, change_gradients
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer, overrides
from ganlab.contracts.turn import Turn
from ganlab.core.errors import GanlabError
from ganlab.regularizers.ortho import Ortho, quarter_slope
from ganlab.regularizers.sn import SpectralNormalization
from ganlab.regularizers.vib import VariationalInformationBottleneck
from ganlab.testing import check_regularizer, rehearse, toy_game, toy_view

FORMS = ["off_diagonal", "full"]


def term(matrix: Tensor, form: str) -> Tensor:
    """The paper's term of one matrix whose rows are filters, written with its symbols."""
    gram, eye = matrix @ matrix.T, torch.eye(len(matrix), dtype=matrix.dtype)
    inside = gram * (1 - eye) if form == "off_diagonal" else gram - eye
    return inside.square().sum()


class Networks(Game):
    """A player with one layer of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.ModuleDict(
            {
                "convolution": nn.Conv2d(3, 8, 3),
                "twin": nn.Conv2d(3, 8, 3),
                "tall": nn.Conv2d(2, 30, 1),
                "grouped": nn.Conv2d(6, 8, 3, groups=2),
                "up": nn.ConvTranspose2d(5, 4, 2),
                "grouped_up": nn.ConvTranspose2d(6, 4, 3, groups=2),
                "linear": nn.Linear(5, 7),
                "table": nn.Embedding(4, 6),
                "embedding": nn.Embedding(4, 6),
                "norm": nn.BatchNorm2d(8),
            }
        )
        self.add_modules("generator", generator=self.generator)

    def matrices(self) -> dict[str, list[Tensor]]:
        """Rows are filters; per group of a grouped convolution."""
        weights = {n: layer.get_parameter("weight") for n, layer in self.generator.items()}
        rows = {n: [weights[n].flatten(1)] for n in ("convolution", "twin", "tall", "linear", "table")}
        rows["grouped"] = [w.flatten(1) for w in weights["grouped"].split(4)]
        rows["up"] = [weights["up"].transpose(0, 1).flatten(1)]
        rows["grouped_up"] = [w.transpose(0, 1).flatten(1) for w in weights["grouped_up"].split(3)]
        return rows

    def gradients(self, regularizer: Regularizer, turn: Turn = GENERATOR) -> dict[str, Tensor]:
        """Return the numbers that the regularizer adds to gradients of zero, by name; one vector has no gradient."""
        used = {n: p for n, p in self.generator.named_parameters() if n != "norm.weight"}
        for parameter in used.values():
            parameter.grad = torch.zeros_like(parameter)
        change_gradients(self, regularizer, turn, {"generator": [gradient(p) for p in used.values()]})
        return {name: gradient(p) for name, p in used.items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_it_adds_the_gradient_that_autograd_finds_for_the_papers_term(
    form: str, memory_format: torch.memory_format
) -> None:
    game, regularizer = Networks().double(), Ortho(weight=0.3, form=form)
    regularizer.attach(game)
    game.to(memory_format=memory_format)
    total = torch.stack([term(matrix, form) for group in game.matrices().values() for matrix in group]).sum()
    (0.3 * total).backward()
    expected = {n: p.grad if p.grad is not None else torch.zeros_like(p) for n, p in game.generator.named_parameters()}
    del expected["norm.weight"]
    assert_close(game.gradients(regularizer), expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (2, 3, 5), (2, 5, 3)])
def test_its_slope_is_a_quarter_of_the_terms_gradient(form: str, shape: tuple[int, ...]) -> None:
    """d/dW ||W W^T o M||^2 = 4 (W W^T o M) W; the tall shapes take the shorter product."""
    matrices = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    total = torch.stack([term(matrix, form) for matrix in matrices.view(-1, *shape[-2:])]).sum()
    (expected,) = torch.autograd.grad(total, matrices)
    assert_close(quarter_slope(matrices.detach(), form), expected / 4)


def test_big_gan_pytorchs_strength_is_twice_the_weight() -> None:
    """Its code adds 2 s (W W^T o (1 - I)) W, which is ours with weight s/2."""
    w = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    published = 2 * 1e-4 * torch.mm(torch.mm(w, w.t()) * (1.0 - torch.eye(4, dtype=torch.float64)), w)
    assert_close(4 * (1e-4 / 2) * quarter_slope(w, "off_diagonal"), published)


def test_orthogonal_filters_of_any_length_are_free_and_of_length_one_in_full() -> None:
    w = torch.linalg.qr(torch.randn(6, 4, dtype=torch.float64)).Q.T
    assert_close(quarter_slope(3 * w, "off_diagonal"), torch.zeros_like(w))
    assert_close(quarter_slope(w, "full"), torch.zeros_like(w))
    assert_close(quarter_slope(3 * w, "full"), 8 * 3 * w)


def test_it_leaves_vectors_and_the_shared_class_embedding_alone() -> None:
    game, regularizer = Networks(), Ortho(weight=1.0)
    regularizer.attach(game)
    untouched = {name for name, gradient in game.gradients(regularizer).items() if not gradient.any()}
    vectors = {name for name, p in game.generator.named_parameters() if p.ndim < 2} - {"norm.weight"}
    assert untouched == vectors | {"embedding.weight"}
    everything = Ortho(weight=1.0, exclude=())
    everything.attach(game)
    assert game.gradients(everything)["embedding.weight"].any()


def test_under_spectral_norm_it_acts_on_the_weight_before_the_division() -> None:
    """Whichever of the two was attached first."""
    for order in ((0, 1), (1, 0)):
        game, both = Networks().double(), [Ortho(weight=1.0), SpectralNormalization(players=("generator",))]
        for i in order:
            both[i].attach(game)
        found = game.gradients(both[0])
        for name, rows in (("convolution", 0), ("up", 1)):
            weight = f"{name}.parametrizations.weight.original"
            original = game.generator.get_parameter(weight).detach().transpose(0, rows).flatten(1)
            expected = 4 * quarter_slope(original, "off_diagonal")
            assert_close(found[weight].transpose(0, rows).flatten(1), expected)


def test_it_acts_on_the_networks_of_the_game_not_on_those_of_other_regularizers() -> None:
    for order in ((0, 1), (1, 0)):
        game = toy_game()
        ortho = Ortho(weight=1.0, players=("discriminator",))
        vib = VariationalInformationBottleneck(channels=3)
        both = (ortho, vib)
        for i in order:
            both[i].attach(game)
        parameters = list(game.players["discriminator"].parameters())
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        change_gradients(game, ortho, DISCRIMINATOR, {"discriminator": [gradient(p) for p in parameters]})
        assert gradient(game.get_parameter("discriminator.body.weight")).any()
        assert not gradient(vib.bottleneck.mean.weight).any()


def test_turns_of_other_players_and_of_lazy_regularizers_are_not_changed() -> None:
    game, regularizer = Networks(), Ortho(weight=1.0)
    regularizer.attach(game)
    for turn in (Turn(("discriminator",)), Turn(("generator",), name="path_length")):
        assert not any(gradient.any() for gradient in game.gradients(regularizer, turn).values())


@pytest.mark.parametrize("options", [{}, {"form": "full", "players": ("discriminator", "generator")}], ids=str)
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    assert check_regularizer(Ortho(**options)) == []


def test_a_player_that_does_not_play_is_refused_with_the_nearest() -> None:
    with pytest.raises(GanlabError, match=r"reg.ortho.players: this game has no player 'generatr'. Did you mean 'gene"):
        Ortho(players=("generatr",)).attach(toy_game())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "diagonal"}, "form must be one of off_diagonal, full, got 'diagonal'"),
        ({"weight": -1e-4}, "weight must be finite and at least 0"),
        ({"players": ()}, "players must name at least one player, each once"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ortho(**options)


@pytest.mark.parametrize("form", FORMS)
def test_as_a_term_it_has_the_papers_value_and_the_gradient_that_is_added_otherwise(form: str) -> None:
    game, regularizer = Networks().double(), Ortho(weight=0.3, form=form, as_term=True)
    regularizer.attach(game)
    regularizer.prepare(game)
    view = toy_view(toy_game(), [], GENERATOR, reals=torch.zeros(2, 3, 8, 8))
    value = regularizer.terms("generator", view)["ortho"]
    assert_close(value, 0.3 * sum(term(matrix, form) for group in game.matrices().values() for matrix in group))
    value.backward()
    found = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in game.generator.named_parameters()}
    otherwise = Ortho(weight=0.3, form=form)
    otherwise.attach(game)
    expected = game.gradients(otherwise)
    assert_close({n: found[n] for n in expected}, expected)
    assert overrides(otherwise, "gradients")
    assert not overrides(otherwise, "terms")
    assert overrides(regularizer, "terms")
    assert not overrides(regularizer, "gradients")


def test_generator_and_discriminator_can_both_be_held() -> None:
    game, regularizer = toy_game(), Ortho(weight=1.0, players=("generator", "discriminator"), as_term=True)
    regularizer.attach(game)
    for turn in (Turn(("generator", "discriminator")), DISCRIMINATOR):
        found = rehearse(game, [regularizer], turn)
        assert {player for player, terms in found.items() if "ortho" in terms} == set(turn.players)
