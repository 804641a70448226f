"""Update rules of every game against plain loops: the games' objectives by formula, gradients by autograd, and SGD and
Adam written out. Nothing of ganlab's plays in the loops but the keyed draws.

alternating: each turn's player steps before the next turn is evaluated (Goodfellow et al. 2014, algorithm 1).
simultaneous: all gradients are taken at the old point (Mescheder et al. 2017, arXiv:1705.10461, eq. 4).
extragradient: a look-ahead step, then a step from the old point with the gradients found there (Korpelevich 1976; Gidel
et al. 2019, arXiv:1802.10551, eq. 7 and algorithm 4: Adam's moments and its count move in both).
optimistic: twice this step minus the last one (Daskalakis et al. 2018, arXiv:1711.00141, eq. 4 and algorithm 1).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from support.engine import BATCH, DIM, LATENTS, D, E, Engine, G, points
from torch import Tensor, nn
from torch.distributions import Normal as Gaussian
from torch.distributions import kl_divergence
from torch.nn import functional as F

from ganlab.contracts.game import UPDATES, Game
from ganlab.contracts.setting import Setting
from ganlab.core.randomness import Distribution, Stream
from ganlab.games.bigan import BiGAN
from ganlab.games.ebgan import EBGAN
from ganlab.games.introvae import IntroVAE
from ganlab.games.meg import MEG
from ganlab.games.standard import Standard
from ganlab.losses.energy_margin import EnergyMargin
from ganlab.losses.non_saturating import NonSaturating
from ganlab.priors import Normal

ITERATIONS = 2  # an optimistic step looks one iteration back
ALIKE = {"discriminator": 0.05, "generator": 0.05}
TWO_SCALES = {"discriminator": 0.08, "generator": 0.02}
MARGIN = 1.5


class Energy(nn.Module):
    """-logit = |W x - x|^2, the energy of a linear auto-encoder."""

    num_classes, provides = 0, ("energy",)

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(DIM, DIM)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return -(self.net(x) - x).square().sum(1)


class T(nn.Module):
    """x'Az: statistics that can tell pairs apart."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Bilinear(DIM, LATENTS, 1)

    def forward(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.net(x, z).squeeze(1)


@dataclass
class Drawn:
    """Inputs of one turn: real points, latents and the keyed draws, and what turns of an iteration leave for others."""

    x: Tensor
    z: Tensor
    draw: Callable[[str, tuple[int, ...], Distribution], Tensor]
    left: dict[str, Tensor]

    def noise(self) -> Tensor:
        return self.draw("codes", (BATCH, LATENTS), "normal").double()


def standard(game: Any, player: str, drawn: Drawn) -> Tensor:
    fake = game.generator(drawn.z)
    if player == "generator":
        return F.softplus(-game.discriminator(fake)).mean()
    return F.softplus(-game.discriminator(drawn.x)).mean() + F.softplus(game.discriminator(fake)).mean()


def ebgan(game: Any, player: str, drawn: Drawn) -> Tensor:
    real, fake = (-game.discriminator(x) for x in (drawn.x, game.generator(drawn.z)))
    return fake.mean() if player == "generator" else real.mean() + F.relu(MARGIN - fake).mean()


def bigan(game: Any, player: str, drawn: Drawn) -> Tensor:
    mean, log_variance = game.encoder(drawn.x)
    code = mean + (log_variance / 2).exp() * drawn.noise()
    real, fake = game.discriminator(drawn.x, None, code), game.discriminator(game.generator(drawn.z), None, drawn.z)
    sign = 1 if player == "discriminator" else -1
    return F.softplus(-sign * real).mean() + F.softplus(sign * fake).mean()


def introvae(game: Any, player: str, drawn: Drawn) -> Tensor:
    encoder, generator = game.discriminator.encoder, game.generator

    def kl(x: Tensor) -> Tensor:
        mean, log_variance = encoder(x)
        return kl_divergence(Gaussian(mean, (log_variance / 2).exp()), Gaussian(0.0, 1.0)).sum(1).mean()

    if player == "generator":
        made, sample = generator(drawn.left["code"]), generator(drawn.left["z"])
        return 0.25 * (kl(made) + kl(sample)) + (made - drawn.x).square().sum(1).mean()
    mean, log_variance = encoder(drawn.x)
    code = mean + (log_variance / 2).exp() * drawn.noise()
    drawn.left.update(code=code.detach(), z=drawn.z)
    made, sample = generator(code), generator(drawn.z)
    hinges = F.relu(MARGIN - kl(made.detach())) + F.relu(MARGIN - kl(sample.detach()))
    return kl(drawn.x) + 0.25 * hinges + (made - drawn.x).square().sum(1).mean()


def meg(game: Any, player: str, drawn: Drawn) -> Tensor:
    fake = game.generator(drawn.z)
    energy = -game.discriminator(fake).mean()
    if player == "generator":
        order = drawn.draw("order of codes", (BATCH,), "uniform").argsort()
        joint, product = game.statistics(fake, drawn.z), game.statistics(fake, drawn.z[order])
        return energy + (F.softplus(-joint).mean() + F.softplus(product).mean()) / 2
    x = drawn.x.clone().requires_grad_()
    real = -game.discriminator(x)
    (score,) = torch.autograd.grad(real.sum(), x, create_graph=True)
    return real.mean() - energy + 10.0 * score.square().sum(1).mean()


def _standard(**options: Any) -> Game:
    return Standard(generator=G(), discriminator=D(), loss=NonSaturating(), **options)


def _ebgan(**options: Any) -> Game:
    return EBGAN(generator=G(), discriminator=Energy(), loss=EnergyMargin(margin=MARGIN), **options)


def _bigan(**options: Any) -> Game:
    return BiGAN(
        generator=G(), discriminator=D(), encoder=E(), loss=NonSaturating(), stochastic=True, width=5, **options
    )


def _introvae(**options: Any) -> Game:
    return IntroVAE(generator=G(), encoder=E(), margin=MARGIN, **options)


def _meg(**options: Any) -> Game:
    return MEG(generator=G(), discriminator=D(), statistics=T(), **{"discriminator_steps": 1, **options})


GAMES = {
    "standard": (_standard, standard),
    "ebgan": (_ebgan, ebgan),
    "bigan": (_bigan, bigan),
    "introvae": (_introvae, introvae),
    "meg": (_meg, meg),
}


class Sgd:
    """w -= rate * g."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def step(self, weights: list[Tensor], gradients: list[Tensor]) -> None:
        for w, g in zip(weights, gradients, strict=True):
            w -= self.rate * g


class Adam:
    """Kingma & Ba 2015 (arXiv:1412.6980), algorithm 1."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.m: dict[int, Tensor] = {}
        self.v: dict[int, Tensor] = {}
        self.count = 0

    def step(self, weights: list[Tensor], gradients: list[Tensor]) -> None:
        self.count += 1
        for i, (w, g) in enumerate(zip(weights, gradients, strict=True)):
            self.m[i] = 0.5 * self.m.get(i, 0.0 * g) + 0.5 * g
            self.v[i] = 0.9 * self.v.get(i, 0.0 * g) + 0.1 * g**2
            m, v = self.m[i] / (1 - 0.5**self.count), self.v[i] / (1 - 0.9**self.count)
            w -= self.rate * m / (v.sqrt() + 1e-8)


def loop(
    game: Any,
    objective: Callable[..., Tensor],
    rule: str,
    optimizer: type[Any],
    turns: list[str],
    rates: Mapping[str, float],
) -> None:
    """Play ``ITERATIONS`` by hand; ``turns`` names who plays."""
    players = list(dict.fromkeys(turns))
    weights = {p: [w.detach() for w in game.players[p].parameters()] for p in players}  # the same memory
    optimizers = {p: optimizer(rates[p]) for p in players}
    last: dict[str, list[Tensor]] = {}
    seen = 0
    for _ in range(ITERATIONS):
        left: dict[str, Tensor] = {}

        def gradient(index: int, seen: int = seen, left: dict[str, Tensor] = left) -> list[Tensor]:
            stream = Stream(0, seen, index, 0)
            z = Normal()(stream.draw, BATCH, LATENTS).double()
            x = points(min(index, turns.count("discriminator") - 1)).double()  # G sees those that D saw last
            loss = objective(game, turns[index], Drawn(x, z, stream.draw, left))
            return list(torch.autograd.grad(loss, list(game.players[turns[index]].parameters())))

        def together() -> dict[str, list[Tensor]]:
            """Each player's gradient at this point, the mean over its turns."""
            found: dict[str, list[list[Tensor]]] = {p: [] for p in players}
            for index, player in enumerate(turns):
                found[player].append(gradient(index))
            return {p: [torch.stack(g).mean(0) for g in zip(*found[p], strict=True)] for p in players}

        if rule == "alternating":
            for index, player in enumerate(turns):
                optimizers[player].step(weights[player], gradient(index))
        else:
            old = {p: [w.clone() for w in weights[p]] for p in players}
            found = together()
            for p in players:
                optimizers[p].step(weights[p], found[p])
            if rule == "extragradient":
                found = together()
                for p in players:
                    for w, before in zip(weights[p], old[p], strict=True):
                        w.copy_(before)
                    optimizers[p].step(weights[p], found[p])
            elif rule == "optimistic":
                for p in players:
                    step = [w - before for w, before in zip(weights[p], old[p], strict=True)]
                    for w, before, new, previous in zip(weights[p], old[p], step, last.get(p, step), strict=True):
                        w.copy_(before + 2 * new - previous)
                    last[p] = step
        seen += BATCH * turns.count("discriminator")


def play(made: Game, optimizer: str, rates: Mapping[str, float]) -> None:
    def prior(draw: Any, batch: int, dim: int) -> Tensor:
        return Normal()(draw, batch, dim).double()

    def factory(parameters: Any, lr: float) -> torch.optim.Optimizer:
        if optimizer == "sgd":
            return torch.optim.SGD(parameters, lr=lr)
        return torch.optim.Adam(parameters, lr=lr, betas=(0.5, 0.9), eps=1e-8)

    engine = Engine(made, rate=rates, setting=Setting(prior, LATENTS), optimizer=factory)
    engine.module.double()
    for _ in range(ITERATIONS):
        count = sum(turn.repeat for turn in made.turns() if turn.reals == "fresh")
        engine.iterate(*[points(i).double() for i in range(count)])


def weights(game: Game) -> Tensor:
    return torch.cat([p.detach().flatten() for p in game.parameters()])


def together(
    name: str, rule: str, optimizer: str, steps: int = 1, rates: Mapping[str, float] = ALIKE
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights before, after the engine's iterations, and after those by hand."""
    torch.manual_seed(0)
    make, objective = GAMES[name]
    options = {} if steps == 1 else {"discriminator_steps": steps}
    made = make(update=rule, **options).double()
    by_hand = copy.deepcopy(made)
    before = weights(made)
    play(made, optimizer, rates)
    turns = ["discriminator"] * steps + ["generator"]
    loop(by_hand, objective, rule, {"sgd": Sgd, "adam": Adam}[optimizer], turns, rates)
    return before, weights(made), weights(by_hand)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("rule", UPDATES)
@pytest.mark.parametrize("name", GAMES)
def test_a_rule_plays_what_a_plain_loop_does(name: str, rule: str, optimizer: str) -> None:
    before, found, expected = together(name, rule, optimizer)
    assert (found - before).abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("rule", UPDATES)
@pytest.mark.parametrize("name", ["standard", "meg"])
def test_several_turns_of_the_discriminator_follow_one_another_or_are_one_larger_batch(name: str, rule: str) -> None:
    """n steps when players alternate; evaluated at one point they are a batch n times as large, with the same rate."""
    before, found, expected = together(name, rule, "sgd", steps=3)
    assert (found - before).abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("rule", UPDATES)
@pytest.mark.parametrize("name", GAMES)
def test_two_time_scales_are_a_step_of_each_player_at_its_own_rate(name: str, rule: str, optimizer: str) -> None:
    """Heusel et al. 2017 (arXiv:1706.08500), eq. 1: b(n) for the discriminator and a(n) for the generator."""
    _, found, expected = together(name, rule, optimizer, rates=TWO_SCALES)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    alike = together(name, rule, optimizer)[1]
    assert (found - alike).abs().max() > 1e-3


def test_the_rules_differ() -> None:
    """So the comparisons above can tell them apart."""
    found = [together("standard", rule, "sgd")[1] for rule in UPDATES]
    for i in range(len(UPDATES)):
        for j in range(i):
            assert (found[i] - found[j]).abs().max() > 1e-4, (UPDATES[i], UPDATES[j])
