"""The engine's contract, proved before the engine: each of these games is written without a branch in it.

Toy networks on points of a plane; what is checked is that each player's parameters move by the
gradient that the paper's objective gives, computed here by hand with autograd.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from support.engine import BATCH, DIM, Engine, G, pair, points
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.growth import Stage
from ganlab.contracts.plan import plan
from ganlab.contracts.points import Points
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Objectives, Terms, Turn
from ganlab.contracts.view import View
from ganlab.core.randomness import Stream
from ganlab.games.standard import Standard
from ganlab.losses.non_saturating import NonSaturating
from ganlab.losses.relativistic import Relativistic


def moved(before: nn.Module, after: nn.Module) -> list[Tensor]:
    """Return the gradients: SGD of rate 1 subtracts them."""
    return [b.detach() - a.detach() for b, a in zip(before.parameters(), after.parameters(), strict=True)]


def gradient(loss: Tensor, module: nn.Module) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, module.parameters(), strict=True)]


def assert_same(mine: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    torch.testing.assert_close(list(mine), list(theirs), rtol=1e-4, atol=1e-6)


class EBGAN(Standard):
    """Energy E = reconstruction error; D: E(x) + [m - E(G)]+, G: E(G); arXiv:1609.03126."""

    def objective(self, turn: Turn, view: View) -> Objectives:
        def energy(x: Tensor) -> Tensor:
            return (view.run("discriminator", x) - x).square().mean(1)

        fake = energy(view.fakes().images)
        if turn.has("discriminator"):
            return {"discriminator": {"energy": (energy(view.reals.images) + F.relu(1.0 - fake)).mean()}}
        return {"generator": {"energy": fake.mean()}}


def test_an_energy_without_a_head_plays_as_discriminator() -> None:
    torch.manual_seed(0)
    generator, autoencoder = G(), nn.Sequential(nn.Linear(DIM, 1), nn.Linear(1, DIM))
    before = copy.deepcopy(autoencoder)
    engine = Engine(EBGAN(generator=generator, discriminator=autoencoder, loss=NonSaturating()))
    fake = generator(engine.z(0)).detach()
    engine.iterate()
    x = points(0)
    expected = (before(x) - x).square().mean() + F.relu(1 - (before(fake) - fake).square().mean(1)).mean()
    assert_same(moved(before, autoencoder), gradient(expected, before))


class IntroVAE(Game):
    """The encoder is the discriminator: [m - KL(E(G(z)))]+ against KL; arXiv:1807.06358, eq. 11 and 12."""

    def __init__(self, encoder: nn.Module, generator: nn.Module) -> None:
        super().__init__()
        self.encoder, self.generator = encoder, generator
        self.add_modules("encoder", encoder=encoder)
        self.add_modules("generator", generator=generator)

    def turns(self) -> Sequence[Turn]:
        return (Turn(("encoder", "generator"), reals="fresh", counts=True),)

    def objective(self, turn: Turn, view: View) -> Objectives:
        def kl(stats: Tensor) -> Tensor:
            mean, log_variance = stats.chunk(2, 1)
            return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()

        x = view.reals.images
        stats = view.run("encoder", x)
        mean, log_variance = stats.chunk(2, 1)
        code = mean + (log_variance / 2).exp() * view.draw("code", mean.shape)
        reconstruction = view.run("generator", code)
        fake = view.fakes().images
        rec = (reconstruction - x).square().sum(1).mean()
        detached = kl(view.run("encoder", fake.detach()))
        return {
            "encoder": {"kl": kl(stats), "margin": F.relu(5 - detached), "reconstruction": rec},
            "generator": {"kl": kl(view.run("encoder", fake)), "reconstruction": rec},
        }


def test_two_players_share_one_evaluation_and_each_gets_only_its_own_gradient() -> None:
    torch.manual_seed(0)
    encoder, generator = nn.Linear(DIM, 6), G()
    encoder_before, generator_before = copy.deepcopy(encoder), copy.deepcopy(generator)
    engine = Engine(IntroVAE(encoder, generator))
    engine.iterate()
    view = View(
        IntroVAE(encoder_before, generator_before), engine.module.turns.hooks, engine.turns_played[0],
        Stream(0, 0, 0, 0), engine.module.setting, reals=points_of(points(0)), batch=BATCH, iteration=0, images_seen=0,
    )  # fmt: skip
    expected = view.game.objective(engine.turns_played[0], view)
    for name, before, after in (
        ("encoder", encoder_before, encoder),
        ("generator", generator_before, generator),
    ):
        assert_same(moved(before, after), gradient(sum(expected[name].values(), torch.zeros(())), before))


def points_of(images: Tensor) -> Points:
    return Points(images, None, "real")


class MEG(Game):
    """Maximum-entropy generator: energy, generator and a statistics network; arXiv:1901.08508, alg. 1."""

    def __init__(self, generator: nn.Module, energy: nn.Module, statistics: nn.Module) -> None:
        super().__init__()
        self.generator, self.discriminator, self.statistics = generator, energy, statistics
        self.add_modules("discriminator", discriminator=energy)
        self.add_modules("generator", generator=generator, statistics=statistics)

    def turns(self) -> Sequence[Turn]:
        return (
            Turn(("discriminator",), repeat=5, reals="fresh", counts=True),
            Turn(("generator",), reals=None),
        )

    def objective(self, turn: Turn, view: View) -> Objectives:
        if turn.has("discriminator"):
            real, fake = view.scores()
            assert real is not None
            score = view.input_gradient(view.reals).square().sum(1).mean()  # the energy is -logit
            return {"discriminator": {"energy": fake.mean() - real.mean(), "score": 10 * score}}
        x = view.fakes().images
        permuted = view.z.roll(1, 0)
        joint = self.statistics(torch.cat([x, view.z], 1))
        product = self.statistics(torch.cat([x, permuted], 1))
        information = (F.softplus(-joint) + F.softplus(product)).mean()
        return {"generator": {"energy": -view.logits(view.fakes()).mean(), "information": information}}


def test_a_statistics_network_trains_with_the_generator_and_energies_step_five_times() -> None:
    generator, energy = pair()
    statistics = nn.Linear(DIM + 3, 1)
    game = MEG(generator, energy, statistics)
    before = copy.deepcopy(statistics)
    engine = Engine(game)
    engine.iterate()
    assert [turn.players for turn in engine.turns_played] == [("discriminator",)] * 5 + [("generator",)]
    assert engine.module.progress.images_seen == 5 * BATCH
    assert all(g.abs().sum() > 0 for g in moved(before, statistics))


class Consensus(Regularizer):
    """γ/2·||v||², v the gradients of all players; arXiv:1705.10461, eq. 5."""

    addresses = (Address("discriminator"), Address("generator"))

    def terms(self, player: str, view: View) -> Terms:
        gradients = [g for name in view.turn.players for g in view.player_gradient(name, create_graph=True)]
        return {"consensus": 0.5 * sum((g.square().sum() for g in gradients), torch.zeros(()))}


class OneTurn(Standard):
    def turns(self) -> Sequence[Turn]:
        return (Turn(("discriminator", "generator"), reals="fresh", counts=True),)


def test_consensus_optimization_sees_the_gradients_of_all_players() -> None:
    generator, discriminator = pair()
    g, d = copy.deepcopy(generator), copy.deepcopy(discriminator)
    engine = Engine(
        OneTurn(generator=generator, discriminator=discriminator, loss=NonSaturating()), {"consensus": Consensus()}
    )
    engine.iterate()
    x, fake = points(0), g(engine.z(0))
    d_loss = F.softplus(-d(x)).mean() + F.softplus(d(fake)).mean()
    g_loss = F.softplus(-d(fake)).mean()
    vector = [*torch.autograd.grad(d_loss, list(d.parameters()), create_graph=True)]
    vector += torch.autograd.grad(g_loss, list(g.parameters()), create_graph=True)
    penalty = 0.5 * sum(v.square().sum() for v in vector)
    assert_same(moved(d, discriminator), gradient(d_loss + penalty, d))
    assert_same(moved(g, generator), gradient(g_loss + penalty, g))


class PathLength(Regularizer):
    """(||J^T y|| - a)², a running mean a; its own lazy turn on half the batch; arXiv:1912.04958, eq. 4."""

    addresses = (Address("generator", "path_length", interval_steps=4, batch=0.5, reals=None),)
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def terms(self, player: str, view: View) -> Terms:
        z = view.z.requires_grad_()
        images = view.run("generator", z)
        (jacobian,) = torch.autograd.grad((images * view.draw("y", images.shape)).sum(), z, create_graph=True)
        lengths = jacobian.square().sum(1).sqrt()
        mean = self.mean.lerp(view.mean(lengths.mean()), 0.01)
        view.update(self.mean, mean)
        return {"path_length": (lengths - mean).square().mean()}


def test_a_lazy_regularizer_owns_a_turn_on_half_a_batch_and_corrects_the_optimizer() -> None:
    generator, discriminator = pair()
    regularizer = PathLength()
    engine = Engine(
        Standard(generator=generator, discriminator=discriminator, loss=NonSaturating()), {"path": regularizer}
    )
    for _ in range(5):
        engine.iterate()
    lazy = [i for i, turn in enumerate(engine.turns_played) if turn.name == "path_length"]
    assert lazy == [2, 11]  # after D and G of iterations 0 and 4
    assert plan(engine.game, type(engine.module.progress)(), BATCH).slots[2].batch == BATCH // 2
    assert regularizer.mean > 0
    optimizers = engine.module.player_optimizers.by_player
    assert optimizers["generator"].param_groups[0]["lr"] == pytest.approx(4 / 5)  # k / (k + 1)
    assert optimizers["discriminator"].param_groups[0]["lr"] == 1.0


def test_the_generator_is_judged_beside_fresh_reals_that_do_not_count_as_seen() -> None:
    generator, discriminator = pair()
    game = Standard(generator=generator, discriminator=discriminator, loss=Relativistic(), fresh_reals=True)
    engine = Engine(game)
    g = copy.deepcopy(generator)
    first, second = points(1), points(2)
    engine.iterate(first, second)
    d = discriminator  # as it was in the generator's turn
    assert_same(moved(g, generator), gradient(F.softplus(-(d(g(engine.z(1))) - d(second))).mean(), g))
    assert (engine.module.progress.images_seen, engine.module.progress.images_consumed) == (BATCH, 2 * BATCH)


class TopK(Regularizer):
    """The generator learns from the best half of its samples only; arXiv:2002.06224."""

    def scores(self, real: Tensor | None, fake: Tensor, view: View) -> tuple[Tensor | None, Tensor]:
        return (real, fake.topk(len(fake) // 2).values) if view.turn.has("generator") else (real, fake)


def test_top_k_changes_what_the_loss_sees_in_the_generators_turn_only() -> None:
    generator, discriminator = pair()
    g, d_before = copy.deepcopy(generator), copy.deepcopy(discriminator)
    engine = Engine(Standard(generator=generator, discriminator=discriminator, loss=NonSaturating()), {"top_k": TopK()})
    engine.iterate()
    fake = g(engine.z(0)).detach()
    d_loss = F.softplus(-d_before(points(0))).mean() + F.softplus(d_before(fake)).mean()
    assert_same(moved(d_before, discriminator), gradient(d_loss, d_before))
    best = discriminator(g(engine.z(1))).topk(BATCH // 2).values
    assert_same(moved(g, generator), gradient(F.softplus(-best).mean(), g))


class ADA(Regularizer):
    """Images are scaled with probability p; p follows the sign of the real logits; arXiv:2006.06676."""

    addresses = (Address("discriminator"),)
    p: Tensor
    signs: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))

    def images(self, images: Tensor, role: str, view: View) -> Tensor:
        chosen = view.draw(f"ada/{role}", (len(images), 1), "uniform") < self.p
        return torch.where(chosen, 0.5 * images, images)

    def terms(self, player: str, view: View) -> Terms:
        view.update(self.signs, view.logits(view.reals).sign().mean())
        return {}

    def after_step(self, player: str) -> None:
        self.p.add_((self.signs - 0.6).sign() * 0.25).clamp_(0, 1)


def test_adaptive_augmentation_acts_on_real_and_fake_alike_and_adapts_after_the_step() -> None:
    generator, discriminator = pair()
    nn.init.constant_(discriminator.out.bias, 10.0)  # a confident discriminator: all signs +1
    ada = ADA()
    ada.p.fill_(1.0)
    d = copy.deepcopy(discriminator)
    engine = Engine(Standard(generator=generator, discriminator=discriminator, loss=NonSaturating()), {"ada": ada})
    fake = generator(engine.z(0)).detach()
    engine.iterate()
    expected = F.softplus(-d(0.5 * points(0))).mean() + F.softplus(d(0.5 * fake)).mean()
    assert_same(moved(d, discriminator), gradient(expected, d))
    assert ada.p == 1.0  # 1 + 0.25, clamped
    assert ada.signs == 1.0


class Growing(Standard):
    """Resolution, batch and learning rate are functions of images seen; arXiv:1710.10196."""

    def stage(self, images_seen: int) -> Stage:
        level = images_seen // 32
        return Stage((1, 1), batch_size=BATCH >> level, level=level, alpha=images_seen % 32 / 32,
                     learning_rates={"discriminator": 0.5**level}, phase=level)  # fmt: skip

    def set_stage(self, stage: Stage) -> None:
        self.log = [*getattr(self, "log", []), (stage.level, stage.alpha)]


def test_growth_is_a_schedule_of_images_seen_that_loader_and_engine_share() -> None:
    generator, discriminator = pair()
    game = Growing(generator=generator, discriminator=discriminator, loss=NonSaturating())
    engine = Engine(game)
    sizes, rates = [], []
    for _ in range(6):
        batch = plan(game, engine.module.progress, BATCH).slots[0].batch
        engine.iterate(points(0)[:batch])
        sizes.append(batch)
        rates.append(engine.module.player_optimizers.by_player["discriminator"].param_groups[0]["lr"])
    assert sizes == [8, 8, 8, 8, 4, 4]
    assert rates == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    assert game.log == [(0, 0.0), (0, 0.25), (0, 0.5), (0, 0.75), (1, 0.0), (1, 0.125)]


@pytest.mark.parametrize("update", ["alternating", "simultaneous", "extragradient", "optimistic"])
def test_update_rules_on_the_dirac_game_do_what_theory_says(update: str) -> None:
    """min_x max_y x·y with rate h and Wasserstein losses: alternating steps conserve a bounded orbit,
    simultaneous ones grow by sqrt(1 + h²) a step (Mescheder et al. 2018, Lemma 2.4); extragradient
    shrinks by sqrt((1 - h²)² + h²) and optimistic steps converge (Gidel et al. 2018, Prop. 2)."""

    class X(nn.Module):
        latent_dim, num_classes = 3, 0

        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.tensor([[1.0]]))

        def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
            return self.x.expand(len(z), 1)

    class Line(nn.Module):
        num_classes = 0

        def __init__(self) -> None:
            super().__init__()
            self.y = nn.Parameter(torch.tensor([[1.0]]))

        def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
            return (x @ self.y).squeeze(1)

    from ganlab.losses.wasserstein import Wasserstein

    generator, line = X(), Line()
    engine = Engine(Standard(generator=generator, discriminator=line, loss=Wasserstein(), update=update))
    rate, steps = 0.1, 200
    for optimizer in engine.module.player_optimizers.by_player.values():
        optimizer.param_groups[0]["lr"] = rate
    for _ in range(steps):
        engine.iterate(torch.zeros(BATCH, 1))
    radius = (generator.x.square() + line.y.square()).sqrt().item() / 2**0.5
    outwards, inwards = (1 + rate**2) ** (steps / 2), ((1 - rate**2) ** 2 + rate**2) ** (steps / 2)
    expected = {
        "alternating": (0.9, 1.12),
        "simultaneous": (0.999 * outwards, 1.001 * outwards),
        "extragradient": (0.999 * inwards, 1.001 * inwards),
        "optimistic": (0.0, 0.5),
    }[update]
    assert expected[0] < radius < expected[1]
