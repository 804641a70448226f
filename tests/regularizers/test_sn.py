"""Spectral normalization as a regularizer; its arithmetic is tested with the layer."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from support.engine import D, Engine, G
from support.rehearsals import DISCRIMINATOR, GENERATOR, Rehearsal
from support.spectral import list_of
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.testing import assert_close

from ganlab.assembly import experiment, run_networks
from ganlab.config import compose
from ganlab.contracts.game import UPDATES, Game
from ganlab.core import randomness, registry
from ganlab.core.errors import GanlabError
from ganlab.games.standard import Standard
from ganlab.layers import spectral_norm, state
from ganlab.losses.hinge import Hinge
from ganlab.regularizers.sn import SpectralNormalization
from ganlab.regularizers.vib import VariationalInformationBottleneck
from ganlab.testing import ToyDiscriminator, ToyGenerator, check_regularizer, toy_game


@pytest.mark.parametrize("players", [("discriminator",), ("discriminator", "generator")])
def test_it_keeps_the_contract(players: tuple[str, ...]) -> None:
    assert check_regularizer(SpectralNormalization(players=players)) == []


def test_after_many_iterations_every_weight_has_largest_singular_value_one() -> None:
    game = toy_game()
    SpectralNormalization(iterations=200).attach(game)
    discriminator = game.discriminator
    assert isinstance(discriminator, ToyDiscriminator)
    for layer in (discriminator.body, discriminator.output):
        assert_close(torch.linalg.matrix_norm(layer.weight.flatten(1), 2), torch.tensor(1.0), rtol=1e-5, atol=0)


def test_it_normalizes_the_layers_of_a_network_that_knows_nothing_of_it() -> None:
    class Foreign(nn.Sequential):
        pass

    network = Foreign(nn.Conv2d(3, 4, 4, stride=4), nn.Flatten(), nn.Linear(16, 1), nn.Flatten(0))
    game = toy_game()
    game.discriminator = network
    game.players["discriminator"].modules["discriminator"] = network
    SpectralNormalization().attach(game)
    assert len(spectral_norm.attached(network)) == 2
    assert network(torch.zeros(5, 3, 8, 8)).shape == (5,)
    assert not spectral_norm.attached(game.generator)


def test_vectors_move_in_the_players_own_turn_once_a_micro_batch() -> None:
    play = Rehearsal(ToyDiscriminator((2, 4, 4)), SpectralNormalization())

    def vectors() -> list[Tensor]:
        return [buffer.clone() for name, buffer in play.discriminator.named_buffers() if name.endswith(".u")]

    def iterated() -> Tensor:
        with torch.no_grad():
            weight = list_of(play.discriminator.body).original.flatten(1)
            v = nn.functional.normalize(weight.T @ vectors()[0], dim=0)
            return nn.functional.normalize(weight @ v, dim=0)

    before, expected = vectors(), iterated()
    for turn in (DISCRIMINATOR, GENERATOR):
        view = play.view(turn)
        with randomness.using(view.stream), state.passing(moves=False):
            play.game.objective(turn, view)
        assert_close(vectors()[0], expected)  # moved by the first turn, one iteration; not by the second
    assert len(before) == 2


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_vectors_of_players_named_in_moving_move_in_all_turns(update: str) -> None:
    """Each turn makes one iteration from the vectors that the turn before left, whatever it could take again."""
    torch.manual_seed(0)
    game = Standard(generator=G(), discriminator=D(), loss=Hinge(), discriminator_steps=2, update=update)
    sn = SpectralNormalization(players=("discriminator", "generator"), moving=("generator",))
    engine = Engine(game, {"sn": sn}, rate=0.0)
    expected = {}
    for network, turns in ((game.generator, 3), (game.discriminator, 2)):
        weight = next(m for m in network.modules() if isinstance(m, ParametrizationList))
        u, matrix = weight[0].get_buffer("u"), weight.original.detach().flatten(1)  # type: ignore[operator]
        for _ in range(turns):
            u = nn.functional.normalize(matrix @ nn.functional.normalize(matrix.T @ u, dim=0), dim=0)
        expected[weight] = u
    engine.iterate()
    for weight, u in expected.items():
        assert_close(weight[0].get_buffer("u"), u)


def test_a_player_that_moves_but_is_not_normalized_is_refused() -> None:
    with pytest.raises(GanlabError, match=r"reg.sn.moving names generator, whose networks are not normalized"):
        SpectralNormalization(players=("discriminator",), moving=("generator",)).attach(toy_game())


def test_modules_that_other_regularizers_add_stay_as_they_are_in_any_order() -> None:
    for order in ((0, 1), (1, 0)):
        game, both = toy_game(), [SpectralNormalization(), VariationalInformationBottleneck(channels=3)]
        for i in order:
            both[i].attach(game)
        assert spectral_norm.attached(game.discriminator)
        assert not spectral_norm.attached(both[1])


def test_a_player_without_weights_is_refused() -> None:
    class Scale(Game):
        def __init__(self) -> None:
            super().__init__()
            self.discriminator = nn.BatchNorm1d(2)
            self.add_modules("discriminator", discriminator=self.discriminator)

    with pytest.raises(GanlabError, match="reg=sn finds no weights to normalize in the discriminator"):
        SpectralNormalization().attach(Scale())
    with pytest.raises(GanlabError, match=r"reg.sn.players: this game has no player 'encoder'"):
        SpectralNormalization(players=("encoder",)).attach(toy_game())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"eps": 0.0}, "eps must be finite and positive, got 0.0"),
        ({"players": ("discriminator", "discriminator")}, "each once"),
        ({"differentiable": True, "exact": True}, "exact=false"),
        ({"differentiable": True, "convolutions": "operator"}, "convolutions=kernel"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpectralNormalization(**options)


@pytest.mark.parametrize("update", UPDATES)
def test_iterating_only_after_a_change_gives_the_same_weights(update: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fused Adam changes weights without counting their versions: simultaneous steps would be overlooked."""

    def train() -> list[torch.Tensor]:
        torch.manual_seed(0)
        game = Standard(generator=G(), discriminator=D(), loss=Hinge(), update=update)
        sn = SpectralNormalization(players=("discriminator", "generator"))
        engine = Engine(game, {"sn": sn}, rate=0.1, optimizer=partial(torch.optim.Adam, fused=True), accumulate=2)
        for _ in range(3):
            engine.iterate()
        return [tensor.clone() for tensor in game.state_dict().values()]

    fast = train()
    iterate, asked = spectral_norm.power_iterate, []

    def always(parametrizations: Sequence[ParametrizationList], *, unchanged: bool = False) -> None:
        asked.append(unchanged)
        iterate(parametrizations)

    monkeypatch.setattr(spectral_norm, "power_iterate", always)
    assert all(torch.equal(a, b) for a, b in zip(fast, train(), strict=True))
    assert any(asked) == (update == "alternating")


def test_exact_divides_by_the_singular_value_of_a_decomposition() -> None:
    """At once and in every pass, without converging; its slope is that of W / s0 through the decomposition."""
    play = Rehearsal(ToyDiscriminator((2, 8, 8)), SpectralNormalization(exact=True), image_shape=(2, 8, 8))
    for layer in (play.discriminator.body, play.discriminator.output):
        original = list_of(layer).original
        matrix = original.flatten(1)
        expected = original / torch.linalg.svdvals(matrix)[0]
        assert_close(layer.weight, expected)
        direction = torch.linspace(-1, 2, original.numel(), dtype=torch.float64).view_as(original)
        slopes = [torch.autograd.grad((w * direction).sum(), original)[0] for w in (layer.weight, expected)]
        assert_close(*slopes, atol=1e-10, rtol=1e-7)
    with play.regularizers[0].during(DISCRIMINATOR, None):
        assert_close(layer.weight, expected)


def test_convolutions_can_be_divided_by_the_norm_of_their_operators() -> None:
    regularizer = SpectralNormalization(convolutions="operator", iterations=300)
    play = Rehearsal(ToyDiscriminator((2, 8, 8)), regularizer, image_shape=(2, 8, 8))
    discriminator = play.discriminator
    columns = torch.eye(2 * 8 * 8, dtype=torch.float64).view(-1, 2, 8, 8)
    matrix = torch.nn.functional.conv2d(columns, discriminator.body.weight, stride=4).flatten(1)
    assert_close(torch.linalg.matrix_norm(matrix.detach(), 2).item(), 1.0)
    assert_close(torch.linalg.matrix_norm(discriminator.output.weight.detach(), 2).item(), 1.0)
    with pytest.raises(ValueError, match="exact=true decomposes reshaped kernels"):
        SpectralNormalization(exact=True, convolutions="operator")
    with pytest.raises(ValueError, match="convolutions must be one of kernel, operator, got 'true'"):
        SpectralNormalization(convolutions="true")


def test_the_sizes_of_maps_are_those_of_a_pass_that_changes_nothing() -> None:
    from ganlab.layers.map_sizes import map_sizes
    from ganlab.models.sngan import Discriminator, Generator

    for network in (Generator(16, num_classes=2, latent_dim=4, width=2), Discriminator(16, num_classes=2, width=2)):
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        sizes = map_sizes(network, "reg=sn")
        assert set(sizes) == {m for m in network.modules() if isinstance(m, nn.Conv2d)}
        assert sizes[network.get_submodule("blocks.0.conv2")] == (
            (8, 8) if isinstance(network, Generator) else (16, 16)
        )
        assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
        assert network.training
    with pytest.raises(GanlabError, match="give it an attribute image_shape, or latent_dim"):
        map_sizes(nn.Conv2d(1, 1, 3), "reg=sn")


def test_a_weight_of_zeros_is_refused_and_named() -> None:
    given: tuple[dict[str, Any], ...] = ({}, {"exact": True})
    for options in given:
        game = toy_game()
        game.get_parameter("discriminator.output.weight").data.zero_()
        with pytest.raises(GanlabError, match=r"those of output in the discriminator are all 0: start them at other"):
            SpectralNormalization(**options).attach(game)
    game = toy_game()
    game.get_parameter("discriminator.body.weight").data.zero_()
    with pytest.raises(GanlabError, match="those of body in the discriminator are all 0"):
        SpectralNormalization(convolutions="operator").attach(game)
    game = toy_game()
    spectral_norm.exempt(game.get_submodule("discriminator.output")).get_parameter("weight").data.zero_()
    SpectralNormalization().attach(game)


def test_the_operator_of_kernels_that_overlap_is_not_the_reshaped_kernel() -> None:
    class Overlapping(nn.Sequential):
        image_shape = (2, 6, 5)

        def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return super().forward(x)

    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1)
    network = Overlapping(layer, nn.Flatten(), nn.Linear(90, 1), nn.Flatten(0))
    game = toy_game((2, 6, 5))
    game.discriminator = game.players["discriminator"].modules["discriminator"] = network
    SpectralNormalization(convolutions="operator", iterations=300).attach(game)
    columns = torch.eye(60).view(-1, 2, 6, 5)
    matrix = nn.functional.conv2d(columns, layer.weight, padding=1).flatten(1)
    assert_close(torch.linalg.matrix_norm(matrix.detach(), 2).item(), 1.0, rtol=1e-4, atol=0)
    assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2) < 0.95


@pytest.mark.parametrize("family", registry.names("discriminator"))
def test_a_family_has_it_where_its_paper_does(family: str) -> None:
    """In both networks: BigGAN and BigGAN-deep (arXiv:1809.11096, sec. 3), SAGAN (arXiv:1805.08318, sec. 4.1). In the
    discriminator: SNGAN (arXiv:1802.05957). The others' papers have none; what is regularized is the discriminator."""
    words = [f"discriminator={family}", "reg=sn", "data.num_classes=0", "data.image_size=32"]
    if family in registry.names("generator"):
        words.append(f"generator={family}")
    if family == "autoencoder":
        words += ["game=ebgan", "loss=energy_margin"]
    with torch.device("meta"):
        built = run_networks.opened(compose.read(words))
    said = {kind for kind, network in built.items() if getattr(network, "spectral_normalization", None)}
    assert said == ({"generator", "discriminator"} if family in ("biggan", "biggan_deep", "sagan") else set())


class DeclaredGenerator(ToyGenerator):
    spectral_normalization = True


class RefusingDiscriminator(ToyDiscriminator):
    spectral_normalization = False


@pytest.mark.parametrize(
    ("generator", "discriminator", "players", "expected"),
    [
        (ToyGenerator, ToyDiscriminator, None, {"discriminator"}),
        (DeclaredGenerator, ToyDiscriminator, None, {"discriminator", "generator"}),
        (DeclaredGenerator, RefusingDiscriminator, None, {"generator"}),
        (DeclaredGenerator, ToyDiscriminator, ("discriminator",), {"discriminator"}),
        (ToyGenerator, RefusingDiscriminator, ("generator", "discriminator"), {"discriminator", "generator"}),
    ],
)
def test_a_network_says_whether_it_is_normalized_and_players_says_otherwise(
    generator: type, discriminator: type, players: tuple[str, ...] | None, expected: set[str]
) -> None:
    game = Standard(generator=generator(), discriminator=discriminator(), loss=Hinge())
    regularizer = SpectralNormalization(players=players)
    regularizer.attach(game)
    assert {name for name in ("generator", "discriminator") if spectral_norm.attached(getattr(game, name))} == expected
    assert regularizer.acts_on(game).keys() == expected


def test_a_game_without_a_network_that_is_normalized_is_refused() -> None:
    game = Standard(generator=ToyGenerator(), discriminator=RefusingDiscriminator(), loss=Hinge())
    with pytest.raises(GanlabError, match=r"no network of this game says it is normalized: name some in reg.sn"):
        SpectralNormalization().attach(game)


def test_what_the_networks_say_equals_the_same_players_bit_for_bit() -> None:
    words = ["model=biggan", "reg=sn", "data.image_size=32", "generator.width=2", "discriminator.width=2"]
    said, named = (
        experiment.build(compose.read([*words, *players])).module.state_dict()
        for players in ([], ["reg.sn.players=[discriminator,generator]"])
    )
    assert said.keys() == named.keys()
    assert all(torch.equal(value, named[name]) for name, value in said.items())


def test_it_says_how_many_layers_it_has() -> None:
    words = ["model=biggan", "reg=sn", "data.image_size=32", "generator.width=2", "discriminator.width=2"]
    module = experiment.build(compose.read(words)).module
    regularizer: Any = module.regularizers["sn"]
    acts = regularizer.acts_on(module.game)
    blocks = 3
    # of the generator: linear, embedding, each block's 3 convolutions and 2 norms with 2 maps each, output
    assert acts["generator"] == f"{1 + blocks * 7 + 1} of {2 + blocks * 7 + 1} layers"
    assert re.fullmatch(r"\d+ layers", acts["discriminator"])
