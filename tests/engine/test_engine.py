"""Defaults of Lightning and PyTorch that break GANs, and that the engine avoids (docs/frameworks.md)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from support.engine import (
    BATCH,
    LATENTS,
    D,
    Engine,
    G,
    NormalizedDiscriminator,
    NormalizedGenerator,
    distance,
    flat,
    images,
    pair,
    points,
)
from support.host_reads import NoHostReads
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab import optimizers
from ganlab.augmentations.ada import ADA
from ganlab.contracts.address import Address
from ganlab.contracts.game import UPDATES, Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.setting import Setting
from ganlab.contracts.turn import Turn
from ganlab.contracts.view import View
from ganlab.engine.averaging import Average
from ganlab.engine.loader import Loader
from ganlab.engine.module import GameModule
from ganlab.games.bigan import BiGAN
from ganlab.games.meg import MEG
from ganlab.games.standard import Standard
from ganlab.layers import spectral_norm
from ganlab.losses.hinge import Hinge
from ganlab.losses.non_saturating import NonSaturating
from ganlab.losses.relativistic import Relativistic
from ganlab.models import dcgan, meg, mlp
from ganlab.priors import Normal
from ganlab.regularizers.drift import Drift
from ganlab.regularizers.gradient_penalty import GradientPenalty
from ganlab.regularizers.ortho import Ortho
from ganlab.regularizers.r1 import R1
from ganlab.regularizers.r2 import R2
from ganlab.regularizers.sn import SpectralNormalization
from ganlab.regularizers.vib import VariationalInformationBottleneck
from ganlab.regularizers.wgan_div import WGANDiv

BOTH = ("generator", "discriminator")


def standard(num_classes: int = 0, batch_norm: bool = True, **options: Any) -> Standard:
    torch.manual_seed(1)
    return Standard(
        generator=NormalizedGenerator(num_classes, batch_norm),
        discriminator=NormalizedDiscriminator(num_classes, batch_norm),
        loss=options.pop("loss", NonSaturating()),
        **options,
    )


def of(engine: Engine, player: str) -> list[Tensor]:
    return [gradient for name, gradient in engine.gradients if name == player]


# --- gradients


def test_only_who_plays_gets_gradients_and_nothing_is_left_over() -> None:
    engine = Engine(standard(discriminator_steps=2), {"r1": R1(), "vib": VariationalInformationBottleneck(channels=3)})
    stepped: list[str] = []
    step = engine.module.player_optimizers.step

    def spy(turn: Turn, final: bool = True, origin: Any = None) -> None:
        (player,) = turn.players
        for name, other in engine.game.players.items():
            for parameter in other.parameters():
                assert (parameter.grad is not None) == (name == player)
                assert parameter.requires_grad == (name == player)
        stepped.append(player)
        step(turn, final, origin)

    engine.module.player_optimizers.step = spy  # type: ignore[method-assign]
    engine.play(images(), 2)
    assert stepped == ["discriminator", "discriminator", "generator"] * 2
    assert all(parameter.grad is None for parameter in engine.game.parameters())


@pytest.mark.parametrize("update", UPDATES)
def test_regularizers_act_after_steps_that_stay(update: str) -> None:
    """The look-ahead step of extragradient is taken back, so there is nothing after it."""
    stepped: list[str] = []

    class Noting(Regularizer):
        addresses = (Address("discriminator"), Address("generator"))

        def after_step(self, player: str) -> None:
            stepped.append(player)

    Engine(standard(update=update), {"noting": Noting()}).play(images(), 2)
    assert stepped == ["discriminator", "generator"] * 2


def test_the_generator_is_no_part_of_the_graph_in_the_discriminators_turn() -> None:
    engine = Engine(standard(), {"gp": GradientPenalty()})
    graphs: dict[str, bool] = {}

    def look(turn: Turn, view: View) -> None:
        graphs[turn.players[0]] = view.fakes().images.grad_fn is not None

    engine.watch(look)
    engine.play(images())
    assert graphs == {"discriminator": False, "generator": True}


def table_prior(count: int = BATCH) -> Callable[..., Tensor]:
    """Latents that depend on the place in the whole batch, however it is cut."""
    rows = torch.randn(count, 3, generator=torch.Generator().manual_seed(4))

    def prior(draw: Any, batch: int, dim: int) -> Tensor:
        *_, micro = draw.__self__.stream.parts
        return rows[micro * batch : (micro + 1) * batch]

    return prior


@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulation_gives_the_gradient_of_the_whole_batch(accumulate: int) -> None:
    """Networks without batch norm and the same draws: the mean of micro-batches' means is the mean."""

    def played(parts: int) -> Engine:
        regularizers = {"r1": R1(), "drift": Drift(1.0), "ortho": Ortho(0.1)}
        game = standard(batch_norm=False)
        engine = Engine(game, regularizers, rate=0.05, setting=Setting(table_prior(), 3), accumulate=parts)
        engine.play(images(), 3)
        return engine

    whole, cut = played(1), played(accumulate)
    assert len(cut.turns_played) == len(whole.turns_played)
    for (_, mine), (_, theirs) in zip(cut.gradients, whole.gradients, strict=True):
        assert distance(mine, theirs) < 1e-5


def test_clipping_limits_the_norm_of_the_named_player_and_keeps_its_direction() -> None:
    free = Engine(standard(update="simultaneous"))
    clipped = Engine(standard(update="simultaneous"), clip={"discriminator": 0.01})
    for engine in (free, clipped):
        engine.play(images())
    (before,), (after,) = of(free, "discriminator"), of(clipped, "discriminator")
    assert before.norm() > 0.1
    assert after.norm() == pytest.approx(0.01, rel=1e-4)
    torch.testing.assert_close(after / after.norm(), before / before.norm(), rtol=1e-4, atol=1e-6)
    assert torch.equal(*of(free, "generator"), *of(clipped, "generator"))


def test_clipping_leaves_a_small_gradient_as_it_is() -> None:
    free, clipped = Engine(standard()), Engine(standard(), clip={"discriminator": 1e6, "generator": 1e6})
    for engine in (free, clipped):
        engine.play(images())
    for (_, mine), (_, theirs) in zip(clipped.gradients, free.gradients, strict=True):
        assert torch.equal(mine, theirs)


def test_a_lazy_penalty_is_k_times_as_strong_in_every_kth_iteration() -> None:
    """Rate 0, so that weights stay: the lazy turn's gradient is 3·γ/2·d/dw mean ‖dD/dx‖² at the turn's reals."""
    game = standard(batch_norm=False)
    engine = Engine(game, {"r1": R1(gamma=2.0, interval_steps=3)}, rate=0.0)
    reals = engine.reals("discriminator")
    engine.play(images(), 7)
    lazy = [i for i, turn in enumerate(engine.turns_played) if turn.name == "r1"]
    assert lazy == [2, 9, 16]  # iterations 0, 3 and 6 have three turns, the others two
    assert torch.equal(reals[0], reals[1]), "the lazy turn shows the reals of the turn before"
    x = reals[1].requires_grad_()
    (slope,) = torch.autograd.grad(game.discriminator(x).sum(), x, create_graph=True)
    parameters = list(game.discriminator.parameters())
    for parameter in parameters:
        parameter.requires_grad_()
    penalty = 3 * 2.0 / 2 * slope.square().sum((1, 2, 3)).mean()
    expected = torch.autograd.grad(penalty, parameters, allow_unused=True)
    filled = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, expected, strict=True)]
    assert distance(engine.gradients[2][1], flat(filled)) < 1e-5


# --- state of layers


@pytest.mark.parametrize(
    ("every_forward", "of_discriminator", "of_generator"),
    # two micro-batches: D plays two turns and G one; D is passed by reals and fakes in its turns and by
    # fakes in G's, G makes fakes in all three
    [(False, 2 * 2, 1 * 2), (True, 2 * (2 * 2 + 1), 2 * 3)],
)
def test_running_state_moves_once_a_micro_batch_in_its_own_turn_or_in_every_pass(
    every_forward: bool, of_discriminator: int, of_generator: int
) -> None:
    game = standard(discriminator_steps=2)
    setting = Setting(Normal(), 3, every_forward=every_forward)
    sn = SpectralNormalization(players=BOTH)
    engine = Engine(game, {"sn": sn}, rate=0.0, setting=setting, accumulate=2)
    norms: dict[str, Any] = {
        name: spectral_norm.attached(network)[0]
        for name, network in (("discriminator", game.discriminator), ("generator", game.generator))
    }
    starts = {name: norm[0].u.clone() for name, norm in norms.items()}
    engine.play(images())
    for name, count in (("discriminator", of_discriminator), ("generator", of_generator)):
        network: Any = game.get_submodule(name)
        assert network.norm.num_batches_tracked == count, name
        matrix, u = norms[name].original.detach().flatten(1), starts[name]
        found = norms[name][0].u
        for i in range(count):
            assert not torch.allclose(u, found, rtol=0, atol=1e-6), f"{name}'s vector moved only {i} times"
            u = F.normalize(matrix @ F.normalize(matrix.t() @ u, dim=0), dim=0)
        torch.testing.assert_close(found, u, rtol=1e-4, atol=1e-6)


def test_a_discriminators_running_statistics_are_those_of_the_reals() -> None:
    """running ← 0.9·0 + 0.1·mean, of its pass over reals; its passes over fakes leave them alone."""
    game = standard()
    discriminator: Any = game.discriminator
    before = copy.deepcopy(discriminator)
    engine = Engine(game)
    seen = engine.reals("discriminator")
    engine.play(images())
    expected = 0.1 * before.conv(seen[0]).mean((0, 2, 3))
    torch.testing.assert_close(discriminator.norm.running_mean, expected.detach())


# --- passes and gradients that are shared


def passes(regularizers: dict[str, Regularizer], compute: Callable[[Engine], None] | None = None) -> tuple[int, int]:
    """Passes of the discriminator, and input gradients, in its own turn."""
    engine = Engine(standard(batch_norm=False), regularizers, rate=0.0)
    counts = {"passes": 0, "gradients": 0}
    playing: list[str] = []
    discriminator: Any = engine.game.discriminator
    features, gradient, evaluate = discriminator.features, torch.autograd.grad, engine.module.evaluate

    def counted(x: Tensor, y: Tensor | None = None) -> Tensor:
        counts["passes"] += playing[-1] == "discriminator"
        return features(x, y)

    def grad(*args: Any, **kwargs: Any) -> Any:
        counts["gradients"] += 1
        return gradient(*args, **kwargs)

    discriminator.features = counted
    engine.module.evaluate = lambda slot, reals: (playing.append(slot.turn.players[0]), evaluate(slot, reals))[1]  # type: ignore[method-assign,func-returns-value]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.autograd, "grad", grad)
        engine.play(images())
    return counts["passes"], counts["gradients"]


@pytest.mark.parametrize(
    ("regularizers", "expected"),
    [
        ({}, (2, 0)),
        ({"r1": R1()}, (2, 1)),
        ({"r1": R1(), "r2": R2(), "drift": Drift()}, (2, 2)),
        ({"gp": GradientPenalty()}, (3, 1)),
        ({"gp": GradientPenalty(), "wgan_div": WGANDiv()}, (3, 1)),
        ({"r1": R1(), "gp": GradientPenalty(points="real")}, (2, 1)),
    ],
    ids=lambda value: "+".join(value) or "none" if isinstance(value, dict) else None,
)
def test_penalties_share_the_main_pass_and_the_gradient_at_the_same_points(
    regularizers: dict[str, Regularizer], expected: tuple[int, int]
) -> None:
    assert passes(copy.deepcopy(regularizers)) == expected


# --- no waiting for the device, no trace in global state


def loaded_engine(device: str = "cpu", **training: Any) -> Engine:
    """An engine with everything: lazy and other penalties, vib, sn, ortho, clipping, fused Adam, averages."""
    game = standard(num_classes=3, discriminator_steps=2, loss=Hinge())
    regularizers = {
        "sn": SpectralNormalization(players=BOTH),
        "ortho": Ortho(),
        "vib": VariationalInformationBottleneck(channels=4),
        "r1": R1(interval_steps=2),
        "gp": GradientPenalty(),
        "wgan_div": WGANDiv(),
    }
    labels = torch.full((3,), 1 / 3, device=device)
    engine = Engine(
        game,
        regularizers,
        rate=1e-3,
        setting=Setting(Normal(), 3, label_shares=labels),
        optimizer=optimizers.adam,
        clip={"discriminator": 1.0, "generator": 1.0},
        accumulate=2,
        mirror=True,
        dequantize=True,
        **training,
    )
    engine.module.average = Average({"generator": game.generator})
    engine.module.to(device)
    return engine


def test_a_step_reads_no_value_on_the_host() -> None:
    engine = loaded_engine()
    served = iter(Loader(images(num_classes=3), engine.game, lambda: engine.module.progress,
                         batch_size=BATCH, accumulate=2, seed=0))  # fmt: skip
    for _ in range(3):
        batch = next(served)
        with NoHostReads():
            engine.module.iterate(batch)
    assert engine.module.scalars
    assert all(isinstance(value, Tensor) for value in engine.module.scalars.values())
    assert not any(value.requires_grad for value in engine.module.scalars.values())


def test_the_watch_for_host_reads_sees_one() -> None:
    for read in (float, bool, int, Tensor.item, torch.nonzero, lambda t: t.tolist(), lambda t: t[t > 0]):
        with pytest.raises(AssertionError, match="wait"), NoHostReads():
            read(torch.ones(1))  # type: ignore[operator]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_step_on_a_gpu_does_not_wait_for_it() -> None:
    engine = loaded_engine("cuda")
    served = iter(Loader(images(num_classes=3), engine.game, lambda: engine.module.progress,
                         batch_size=BATCH, accumulate=2, seed=0, device="cuda"))  # fmt: skip
    for step in range(4):
        batch = next(served)
        try:
            if step > 1:  # the first steps make optimizer state and load kernels
                torch.cuda.set_sync_debug_mode("error")
            engine.module.iterate(batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_scalars_are_those_of_the_last_iteration_whichever_that_is() -> None:
    engine = Engine(standard(), {"r1": R1()})
    assert engine.module.scalars == {}
    found = []
    for _ in range(3):
        engine.play(images())
        found.append(engine.module.scalars)
    names = ["discriminator/adversarial", "discriminator/fake_logits", "discriminator/gradient_norm_real",
             "discriminator/r1", "discriminator/real_logits", "generator/adversarial"]  # fmt: skip
    assert [sorted(scalars) for scalars in found] == [names] * 3
    assert len({float(scalars["discriminator/real_logits"]) for scalars in found}) == 3


def test_training_leaves_torchs_generator_alone_and_does_not_depend_on_it() -> None:
    weights = []
    for seed in (1, 2):
        engine = loaded_engine()
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        engine.play(images(num_classes=3), 2)
        assert torch.equal(torch.random.get_rng_state(), before)
        weights.append(engine.weights())
    assert torch.equal(*weights)


def test_an_added_regularizer_does_not_shift_the_draws_of_the_others() -> None:
    """A penalty of weight 0 draws its points and changes nothing else, bit for bit."""
    alone, beside = Engine(standard(), rate=0.05), Engine(standard(), {"gp": GradientPenalty(weight=0.0)}, rate=0.05)
    for engine in (alone, beside):
        engine.play(images(), 3)
    assert torch.equal(alone.weights(), beside.weights())


# --- precision, memory format, compilation


def test_under_bf16_penalties_are_computed_in_float32() -> None:
    found: dict[str, Tensor] = {}
    for name, enabled in (("float32", False), ("bf16", True)):
        engine = Engine(standard(batch_norm=False), {"r1": R1(), "gp": GradientPenalty()}, rate=0.0)

        def look(turn: Turn, view: View, name: str = name) -> None:
            if turn.has("discriminator"):
                found[name] = view.input_gradient(view.reals).detach()
                found[f"{name} logits"] = view.logits(view.reals).detach()

        engine.watch(look)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            engine.play(images())
        assert found[name].dtype == torch.float32
        found[f"{name} penalty"] = engine.module.scalars["discriminator/r1"]
        assert engine.module.scalars["discriminator/r1"].dtype == torch.float32
    assert distance(found["bf16 logits"], found["float32 logits"]) > 1e-4, "the main pass is in bf16"
    assert distance(found["bf16"], found["float32"]) < 1e-5
    assert distance(found["bf16 penalty"], found["float32 penalty"]) < 1e-5


def dcgan_game(**options: Any) -> Standard:
    torch.manual_seed(2)
    return Standard(
        generator=dcgan.Generator(16, 3, latent_dim=3, width=4), discriminator=dcgan.Discriminator(16, 3, width=4),
        loss=NonSaturating(), **options,
    )  # fmt: skip


def lies_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def test_channels_last_reaches_parameters_and_activations_and_changes_no_result() -> None:
    weights = {}
    for channels_last in (True, False):
        game = dcgan_game().to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        engine = Engine(game, {"gp": GradientPenalty(1.0), "r1": R1(1.0)}, rate=0.01, channels_last=channels_last)
        found: set[bool] = set()
        for module in game.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.register_forward_hook(lambda module, given, output, found=found: found.add(lies_last(output)))
            if isinstance(module, nn.Conv2d):
                module.register_forward_pre_hook(lambda module, given, found=found: found.add(lies_last(given[0])))
        engine.play(images(shape=(3, 16, 16)), 3)
        assert found == {channels_last}
        for parameter in game.parameters():
            if parameter.ndim == 4:
                assert lies_last(parameter) == channels_last
        weights[channels_last] = engine.weights()
    assert distance(weights[True], weights[False]) < 1e-5


def maximum_entropy() -> MEG:
    """A game whose own objective is differentiated twice."""
    game = standard(batch_norm=False)
    statistics = meg.Statistics(8, 1, LATENTS, width=4)
    return MEG(generator=game.generator, discriminator=game.discriminator, statistics=statistics)


def with_encoder() -> BiGAN:
    game = standard(batch_norm=False)
    encoder = mlp.Encoder(8, 1, LATENTS, width=4, depth=1)
    return BiGAN(
        generator=game.generator, discriminator=game.discriminator, encoder=encoder, loss=NonSaturating(), width=5
    )


COMPILED: dict[str, tuple[Callable[[], Game], Callable[[], dict[str, Regularizer]]]] = {
    "gradient_penalty": (lambda: standard(batch_norm=False), lambda: {"gp": GradientPenalty(1.0)}),
    "ada": (lambda: standard(batch_norm=False), lambda: {"ada": ADA(p=0.5)}),
    "meg": (maximum_entropy, dict),
    "bigan with r1": (with_encoder, lambda: {"r1": R1(1.0)}),
    "relativistic with r1 and r2": (
        lambda: standard(batch_norm=False, loss=Relativistic()), lambda: {"r1": R1(1.0), "r2": R2(1.0)},
    ),
    "sn and r1": (lambda: standard(batch_norm=False), lambda: {"sn": SpectralNormalization(), "r1": R1(1.0)}),
}  # fmt: skip


@pytest.fixture
def traced() -> Iterator[None]:
    """torch.compile traces, guards and differentiates as ever, but starts no C++ compiler, which takes minutes where
    nothing is cached; what torch.inductor makes of a graph is torch's."""
    choose = getattr(torch.compiler, "set_default_backend", lambda backend: None)  # older torches have it not
    choose("aot_eager")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    choose(None)
    torch._dynamo.reset()


def graphs() -> int:
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_networks_and_penalties_train_the_same_weights(name: str, traced: None) -> None:
    make, regularizers = COMPILED[name]
    weights = {}
    for compiled in (False, True):
        engine = Engine(make(), regularizers(), rate=0.02, compile=compiled)
        before = engine.weights()
        engine.play(images(), 3)
        weights[compiled] = engine.weights()
        assert distance(weights[compiled], before) > 1e-3
        assert bool(graphs()) == compiled
    assert distance(weights[True], weights[False]) < 1e-6


@pytest.mark.slow
def test_a_compiled_run_ends_with_the_weights_of_an_eager_one(train: Callable[..., Path], traced: None) -> None:
    found = {}
    for compiled in ("false", "true"):
        words = ["reg=r1", *(f"optimizer/{player}=sgd" for player in ("generator", "discriminator"))]
        folder = train(*words, f"compile={compiled}", name=compiled, steps=2)
        state = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        found[compiled] = flat([v for v in state.values() if v.is_floating_point()])
    assert graphs() > 0
    assert distance(found["true"], found["false"]) < 1e-5


# --- Lightning


def test_an_iteration_is_one_step_of_lightning_however_many_turns_it_has() -> None:
    """Lightning issue 17958: its own count would be 3 turns and a lazy one for each iteration. The
    engine leans on private hooks of Lightning's wrappers, which this pins."""
    engine = Engine(standard(discriminator_steps=2), {"r1": R1(interval_steps=2)})
    module: GameModule = engine.module
    loader = Loader(images(), engine.game, lambda: module.progress, batch_size=BATCH, accumulate=1, seed=0)
    trainer = L.Trainer(
        accelerator="cpu", devices=1, max_steps=5, max_epochs=-1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, train_dataloaders=loader)
    assert trainer.global_step == 5
    assert module.progress.iteration == 5
    assert len(engine.turns_played) == 5 * 3 + 3
    assert module.progress.images_seen == 5 * 2 * BATCH
    assert not any(isinstance(m, nn.parallel.DistributedDataParallel) for m in module.modules())


def test_points_of_the_plane_train_like_images() -> None:
    generator, discriminator = pair()
    before = flat(generator.parameters())
    engine = Engine(Standard(generator=generator, discriminator=discriminator, loss=NonSaturating()), {"r1": R1()})
    engine.iterate(points(0))
    assert isinstance(generator, G)
    assert isinstance(discriminator, D)
    assert distance(flat(generator.parameters()), before) > 0
