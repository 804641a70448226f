"""The adversary in a loop of one's own: what it trains, how it weighs, and what it takes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from support.adversaries import BATCH, Decoder, Judge, Patches, play, samples, seeded, weights
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

import ganlab
from ganlab.adversary import guard
from ganlab.adversary.adversary import Adversary
from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.core import registry
from ganlab.core.errors import GanlabError
from ganlab.core.randomness import Stream
from ganlab.engine.reals import Reals
from ganlab.priors import Normal
from ganlab.runs import session

REAL, FAKE = samples(0), samples(1)


def adversary(network: Any = None, **options: Any) -> Adversary:
    return Adversary(seeded(Patches) if network is None else network, **{"optimizer": "sgd", "lr": 0.1, **options})


WORDS = [
    *("model=dcgan", "generator.width=8", "discriminator.width=8", "data.batch_size=8", "loss=non_saturating"),
    *("ema.half_life_kimg=0", "trainer.max_steps=3", "sample.every_steps=1000", "game.fake_labels=reals"),
]


def test_a_loop_ends_with_the_weights_of_ganlab_train(tmp_path: Path) -> None:
    """The same draws: the latents of turn 0 for the discriminator, and those of turn 1 for the generator."""
    played = ["reg=[r1,lecam,drift]", "augment=diff_augment", f"run.dir={tmp_path / 'run'}"]
    session.start(compose.read([*WORDS, *played]))
    trained = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]

    built = experiment.build(compose.read(WORDS))  # the same networks, and nothing else
    generator: Any
    generator, discriminator = (built.module.game.get_submodule(name) for name in ("generator", "discriminator"))
    adam = {"adam": {"betas": [0.5, 0.999]}}  # that of model=dcgan
    opponent = Adversary(discriminator, "non_saturating", ["r1", "lecam", "drift"], "diff_augment", optimizer=adam)
    optimizer = ganlab.optimizers.adam(generator.parameters(), betas=(0.5, 0.999))
    for index, batch in zip(range(3), experiment.loader(built, torch.device("cpu")), strict=False):
        reals = Reals(batch)
        reals.next()
        real = reals.points(0, 8, Stream(0), torch.float32)
        latents = [Normal()(Stream(0, 8 * index, turn, 0).draw, 8, generator.latent_dim) for turn in (0, 1)]
        with torch.no_grad():
            fake = generator(latents[0], real.labels)
        opponent.step(real.images, fake, real.labels)
        optimizer.zero_grad()
        opponent.generator_loss(generator(latents[1], real.labels), condition=real.labels).backward()
        optimizer.step()
    for name, value in built.module.game.named_parameters():
        assert torch.equal(value, trained[f"game.{name}"]), name


# --- what plays, and what is refused


def test_a_preset_is_its_loss_and_its_regularizers() -> None:
    preset = adversary(loss="r3gan", reg=["lecam"])
    assert [*preset.regularizers] == ["r1", "r2", "lecam"]
    assert type(preset.game.loss).__name__ == "Relativistic"
    with pytest.raises(GanlabError, match="path_length"):
        adversary(loss="stylegan2")


@pytest.mark.parametrize("loss", registry.names("loss"))
def test_every_loss_plays_with_every_regularizer_that_it_goes_with(loss: str) -> None:
    options: dict[str, Any] = {
        "ortho": {"players": ["discriminator"]},
        "top_k": {"share": 0.5},
        "vib": {"channels": 4},
        "entropy": {"width": 2},
    }
    refused, labels = [], torch.arange(BATCH) % 3
    for name in (*registry.names("reg"), None):
        network = seeded(Judge)
        try:
            found = adversary(network, loss=loss, reg={name: options.get(name, {})} if name else None)
        except GanlabError as error:
            assert str(error).endswith(".")
            refused.append(name)
            continue
        fake = FAKE.clone().requires_grad_()
        for _ in range(2):
            scalars = found.step(REAL, fake, labels)
            found.generator_loss(fake, REAL, labels).backward()
        assert all(value.isfinite() for value in scalars.values()), name
        assert fake.grad is not None
        assert fake.grad.isfinite().all(), name
    always = {"consensus", "entropy", "path_length", "singular_value"}  # of weights or latents that are not here
    assert always <= set(refused)
    assert set(refused) - always <= {"roth"}


@pytest.mark.parametrize("name", registry.names("augment"))
def test_every_augmentation_plays(name: str) -> None:
    found = adversary(augment=name)
    scalars = found.step(REAL, FAKE)
    assert scalars["discriminator/adversarial"].isfinite()
    with pytest.raises(GanlabError, match="discriminator is shown samples of shape"):
        adversary(nn.Linear(64, 1), augment=name).step(REAL.flatten(2), FAKE.flatten(2))


class Sound(nn.Module):
    """A list of maps and their features, as multi-period discriminators give them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(2, 3, 5, 2), nn.Conv1d(2, 3, 5, 4)
        self.ends = nn.ModuleList([nn.Conv1d(3, 1, 3), nn.Conv1d(3, 1, 3)])

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        inner = [layer(x).tanh() for layer in (self.first, self.second)]
        return [end(f) for end, f in zip(self.ends, inner, strict=True)], [[f] for f in inner]


def test_hifi_gans_losses_are_sums_over_sub_discriminators() -> None:
    """D: sum of E[(1 - D(x))^2] + E[D(y)^2]; G: sum of E[(1 - D(y))^2] + 2 sum of E|f(x) - f(y)| (arXiv:2010.05646).

    ``least_squares`` halves both of the first.
    """
    sound, generator = seeded(Sound), torch.Generator().manual_seed(0)
    x, y = torch.randn(4, 2, 40, generator=generator), torch.randn(4, 2, 40, generator=generator, requires_grad=True)
    real, real_features = sound(x)
    fake, fake_features = sound(y)
    d = sum((1 - r).square().mean() + f.square().mean() for r, f in zip(real, fake, strict=True))
    g = sum((1 - f).square().mean() for f in fake)
    matching = sum((a[0] - b[0]).abs().mean() for a, b in zip(real_features, fake_features, strict=True))
    (expected,) = torch.autograd.grad(torch.as_tensor(g + 2 * matching), y, retain_graph=True)
    found = adversary(sound, loss="least_squares", reduction="sum", feature_matching=1.0, weight=2.0, lr=0.0)
    scalars = found.step(x, y)
    assert_close(2 * scalars["discriminator/adversarial"], torch.as_tensor(d).detach())
    term = found.generator_loss(y, x)
    assert_close(term, torch.as_tensor(g + 2 * matching).detach())
    assert_close(torch.autograd.grad(term, y)[0], expected)
    mean = adversary(sound, loss="least_squares", feature_matching=1.0, weight=2.0, lr=0.0)
    mean.step(x, y)
    assert_close(mean.generator_loss(y, x), term / 2)


def test_stylegans_losses_are_those_of_its_paper() -> None:
    """D: E softplus(D(y)) + E softplus(-D(x)) + gamma/2 E||dD/dx||^2; G: E softplus(-D(y)) (arXiv:1812.04948)."""
    judge = seeded(Judge).eval()
    x = REAL.clone().requires_grad_()
    logits = judge(x)
    (slope,) = torch.autograd.grad(logits.sum(), x)
    found = adversary(judge, loss="non_saturating", reg={"r1": {"gamma": 3.0}}, lr=0.0)
    scalars = found.step(REAL, FAKE)
    assert_close(
        scalars["discriminator/adversarial"], (F.softplus(-logits).mean() + F.softplus(judge(FAKE)).mean()).detach()
    )
    assert_close(scalars["discriminator/r1"], 1.5 * slope.square().sum((1, 2, 3)).mean())
    assert_close(found.generator_loss(FAKE.clone().requires_grad_()), F.softplus(-judge(FAKE)).mean().detach())


def test_lecam_holds_patches_near_the_mean_of_the_other_kind() -> None:
    patches = seeded(Patches)
    real, fake = patches(REAL).detach(), patches(FAKE).detach()
    scalars = adversary(patches, reg={"lecam": {"weight": 0.3}}, lr=0.0).step(REAL, FAKE)
    expected = 0.3 * ((real - fake.mean()).square().mean() + (fake - real.mean()).square().mean())
    assert_close(scalars["discriminator/lecam"], expected)


def test_the_penalty_of_several_maps_is_that_of_their_mean() -> None:
    """Of the mean over positions, then over maps: a large map counts no more than a small one."""
    first, second = seeded(Patches), seeded(Judge).eval()
    x = REAL.clone().requires_grad_()
    mean = (first(x).flatten(1).mean(1) + second(x)) / 2
    (slope,) = torch.autograd.grad(mean.sum(), x)
    scalars = adversary([first, second], reg={"r1": {"gamma": 2.0}}, lr=0.0).step(REAL, FAKE)
    assert_close(scalars["discriminator/r1"], slope.square().sum((1, 2, 3)).mean())
    each = [F.relu(1 - d(REAL)).mean() + F.relu(1 + d(FAKE)).mean() for d in (first, second)]
    assert_close(scalars["discriminator/adversarial"], torch.stack(each).mean().detach())


class Conditional(nn.Module):
    """D(x, condition) with a condition of several parts."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x: Tensor, condition: Any) -> Tensor:
        return self.linear(x + condition["text"][0] * condition["scale"])


@pytest.mark.parametrize("reg", [None, {"gradient_penalty": {"estimator": "finite_difference"}}, "gradient_penalty"])
def test_points_with_a_condition_of_several_parts(reg: Any) -> None:
    condition = {"text": (torch.randn(8, 2), None), "scale": torch.ones(8, 1)}
    found = adversary(seeded(Conditional), reg=reg)
    real, fake = torch.randn(8, 2), torch.randn(8, 2, requires_grad=True)
    assert found.step(real, fake, condition)["discriminator/adversarial"].isfinite()
    found.generator_loss(fake, condition=condition).backward()
    assert fake.grad is not None


# --- weights, starts, accumulation


def test_the_adaptive_weight_is_vqgans() -> None:
    """||d rec / dw|| / (||d g / dw|| + 1e-4), at most 1e4, times the weight (taming-transformers, vqperceptual.py)."""
    patches, decoder = seeded(Patches), seeded(Decoder)
    fake = decoder(REAL)
    error, g = (fake - REAL).abs().mean(), -patches(fake).mean()
    last = decoder.out.weight
    norms = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (error, g)]
    factor = 0.8 * norms[0] / (norms[1] + 1e-4)
    (plain,) = torch.autograd.grad(g, decoder.first.weight, retain_graph=True)
    found = adversary(patches, weight=0.8, lr=0.0)
    found.step(REAL, fake)
    term = found.generator_loss(fake, reconstruction=error, last_layer=last)
    assert_close(term, (factor * g).detach())
    assert_close(torch.autograd.grad(term, decoder.first.weight, retain_graph=True)[0], factor * plain)
    with torch.no_grad():
        for parameter in patches.parameters():
            parameter.mul_(1e-12)
    found.generator_loss(fake, reconstruction=1e9 * error, last_layer=last)
    assert found.adaptive == 1e4


def test_before_its_start_it_does_nothing_and_then_the_weight_rises() -> None:
    found = adversary(start_step=2, ramp_steps=2, weight=3.0, lr=0.1)
    before, terms = weights(found), []
    for index in range(5):
        scalars = found.step(REAL, FAKE)
        assert bool(scalars) == (index >= 2)
        assert torch.equal(weights(found), before) == (index < 2)
        terms.append(found.generator_loss(FAKE.clone().requires_grad_()))
        network: Any = found.game.get_submodule("discriminator")
        value = -network(FAKE).mean()
        assert_close(terms[-1].detach(), 3 * [0, 0, 0, 0.5, 1][index] * value.detach())
    (terms[0] + torch.zeros((), requires_grad=True)).backward()


def test_accumulated_steps_are_those_of_the_whole_batch() -> None:
    regs = {"r1": {"gamma": 1.0, "interval_steps": 2}, "drift": {}}
    whole, parts = (adversary(reg=regs, accumulate=n) for n in (1, 2))
    for index in range(3):
        real, fake = samples(index), samples(index + 7)
        whole.step(real, fake)
        for half in (slice(4), slice(4, 8)):
            parts.step(real[half], fake[half])
    assert_close(weights(whole), weights(parts))
    assert whole.state_dict()["_extra_state"]["progress"] == parts.state_dict()["_extra_state"]["progress"]


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_a_step_that_is_not_finite_changes_nothing(optimizer: str) -> None:
    found, other = (adversary(reg="lecam", optimizer=optimizer, lr=0.01) for _ in range(2))
    broken = FAKE.clone()
    broken[0, 0, 0, 0] = float("inf")
    for one in (found, other):
        one.step(REAL, FAKE)
    found.step(REAL, broken)
    assert torch.equal(weights(found), weights(other))
    assert torch.cat([b.flatten().double() for b in found.regularizers.buffers()]).isfinite().all()
    fake = broken.requires_grad_()
    found.generator_loss(fake).backward()
    assert fake.grad is not None
    assert torch.equal(fake.grad, torch.zeros_like(FAKE))
    assert found.guard is not None
    assert found.guard.skipped == 1


def test_the_normalized_term_does_not_depend_on_the_discriminators_scale() -> None:
    """With decay 0 the slope of E[x·w] over n numbers has the size of a mean: ||slope|| = 1/sqrt(n)."""
    found = []
    for scale in (1.0, 1000.0):
        patches = seeded(Patches)
        with torch.no_grad():
            patches.layers[2].weight.mul_(scale)
        one = adversary(patches, loss="wasserstein", gradient_normalization=0.0, lr=0.0)
        one.step(REAL, FAKE)
        fake = FAKE.clone().requires_grad_()
        one.generator_loss(fake).backward()
        assert fake.grad is not None
        found.append(fake.grad)
    assert_close(found[0], found[1])
    assert_close(found[0].norm(), torch.tensor(FAKE.numel() ** -0.5))


def test_a_loaded_state_continues_bit_for_bit() -> None:
    options: dict[str, Any] = {
        "reg": {"lecam": {}, "r1": {"interval_steps": 2}}, "augment": "ada", "optimizer": "adam",
        "lr": {"from": 0.1, "to": 0.0}, "total_steps": 20, "weight": {"from": 1.0, "to": 0.5, "end_steps": 9},
    }  # fmt: skip
    judge, decoder = seeded(Patches), seeded(Decoder)
    found = adversary(judge, **options)
    play(found, decoder, 3)
    again, other = adversary(seeded(Patches, 2), **options), seeded(Decoder)
    again.load_state_dict(found.state_dict())
    other.load_state_dict(decoder.state_dict())
    play(found, decoder, 2)
    play(again, other, 2)
    assert torch.equal(weights(found, decoder), weights(again, other))
    assert again.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * (1 - 4 / 20) * 2 / 3)


@pytest.mark.parametrize("iterations", [1, 2])  # the state goes on without R1's turn, and with it
def test_a_state_that_is_loaded_within_an_iteration_begins_a_new_one(iterations: int) -> None:
    """An iteration of its own is forgotten: its samples, its plan, and how far it was."""
    options: dict[str, Any] = {"reg": {"r1": {"interval_steps": 2}, "drift": {}}, "accumulate": 2}
    found, again = (adversary(seeded(Patches, seed), **options) for seed in (1, 2))
    halves = [(samples(k)[:4], samples(k + 20)[:4]) for k in range(9)]
    for real, fake in halves[: 2 * iterations]:
        found.step(real, fake)
    again.step(*halves[4])  # half of an iteration with R1's turn
    again.load_state_dict(found.state_dict())
    for real, fake in halves[5:]:
        for one in (found, again):
            one.step(real, fake)
    assert torch.equal(weights(found), weights(again))
    assert found.state_dict()["_extra_state"]["progress"] == again.state_dict()["_extra_state"]["progress"]


@pytest.mark.parametrize("broken", [None, math.inf, -math.inf, math.nan])
def test_gradients_of_several_devices_are_looked_at_by_their_norm(broken: float | None) -> None:
    """It says what the operation of a gradient scaler says of those of one device."""
    gradients = [torch.ones(3), torch.zeros(2, 2)]
    if broken is not None:
        gradients[0][1] = broken
    expected = torch.tensor(0.0 if broken is None else 1.0)
    assert torch.equal(guard._found_by_norm(gradients), expected)
    assert torch.equal(guard._found(gradients), expected)


class Failing(nn.Module):
    """Raises in its forward or in its backward pass, once it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.where = Patches(), ""

    def forward(self, x: Tensor) -> Tensor:
        first = self.patches.layers[:2](x)
        if self.where == "backward":
            first.register_hook(self._fail)
        out: Tensor = self.patches.layers[2:](first)
        if self.where == "forward":
            self._fail(out)
        return out

    def _fail(self, x: Tensor) -> None:
        self.where = ""
        raise MemoryError("no memory is left")


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("method", ["step", "generator_loss"])
def test_after_a_call_that_fails_it_goes_on_as_if_that_had_not_been(
    method: str, calls: int, where: str, mixed: bool
) -> None:
    """With ``accumulate`` as if the iteration had not been."""
    options: dict[str, Any] = {"reg": {"r2": {}, "lecam": {}}, "accumulate": 2, "optimizer": "adam"}
    failing = seeded(Failing)
    found, expected = adversary(failing, **options), adversary(seeded(Failing), **options)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        for one in (found, expected):
            for k in range(2):
                one.step(samples(k), samples(k + 20))
        if method == "step":
            for k in range(calls - 1):
                found.step(samples(k), samples(k))
        with pytest.raises(MemoryError):
            failing.where = where
            found.step(REAL, FAKE) if method == "step" else found.generator_loss(FAKE.clone().requires_grad_())
        assert [p.requires_grad for p in failing.parameters()] == [True] * 4
        assert [p.grad for p in failing.parameters()] == [None] * 4
        slopes: list[Any] = []
        for one in (found, expected):
            fake = FAKE.clone().requires_grad_()
            one.generator_loss(fake).backward()
            for k in range(2, 4):
                one.step(samples(k), samples(k + 20))
            slopes.append(fake.grad)
    assert torch.equal(*slopes)
    assert torch.equal(weights(found), weights(expected))


class Checkpointed(nn.Module):
    """Makes its maps anew in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = Patches()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = checkpoint(self.patches.layers, x, use_reentrant=False)
        return found


@pytest.mark.parametrize("mixed", [False, True])
def test_a_checkpointed_discriminator_takes_the_same_steps(mixed: bool) -> None:
    """Under autocast gradients of passes are summed in float32, and without checkpoints in bfloat16, of 8 bits."""
    found = []
    for make in (Patches, Checkpointed):
        judge, decoder = seeded(make), seeded(Decoder)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed, cache_enabled=False):
            play(adversary(judge, reg=["r1", "gradient_penalty"]), decoder, 2, adaptive=True)
        found.append(weights(judge, decoder))
    assert (found[0] - found[1]).norm() <= (2**-7 * found[0].norm() if mixed else 0)


def test_samples_of_inference_mode_are_taken() -> None:
    found, expected = adversary(), adversary()
    with torch.inference_mode():
        real, fake = REAL.clone(), FAKE.clone()
    found.step(real, fake)
    expected.step(REAL, FAKE)
    assert torch.equal(weights(found), weights(expected))


def test_autocast_and_moving_keep_it_playing() -> None:
    found, decoder = adversary(seeded(Patches), reg="r1", optimizer="adam"), seeded(Decoder)
    with torch.autocast("cpu", torch.bfloat16):
        play(found, decoder, 1)
    found.to(torch.float64)
    fake = FAKE.double().requires_grad_()
    found.step(REAL.double(), fake)
    found.generator_loss(fake).backward()
    assert next(found.parameters()).dtype is torch.float64


@pytest.mark.slow
def test_a_compiled_discriminator_takes_the_same_steps() -> None:
    regs = {"r1": {"estimator": "finite_difference"}, "gradient_penalty": {}}
    plain, compiled = adversary(reg=regs), adversary(torch.compile(seeded(Patches)), reg=regs)  # type: ignore[arg-type]
    for one in (plain, compiled):
        play(one, seeded(Decoder), 3)
    assert_close(weights(plain), weights(compiled), rtol=1e-4, atol=1e-5)


# --- bad input


class Blind(nn.Module):
    """Says the same of all samples."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.bias.expand(len(x))


GRAPH = FAKE.clone().requires_grad_()
BAD: dict[str, tuple[Any, str]] = {
    "an unknown loss": (lambda: adversary(loss="hindge"), "Did you mean 'hinge'"),
    "an unknown option": (lambda: adversary(reg={"r1": {"gama": 1}}), "reg.r1.gama is no option. Did you mean 'gamma'"),
    "a number out of range": (lambda: adversary(start_step=-1), "start_step must be at least 0"),
    "a name twice": (lambda: adversary(reg=["r1", "r1"]), "reg has 'r1' twice"),
    "no network": (lambda: Adversary(3), "discriminator must be a torch module"),  # type: ignore[arg-type]
    "no weights": (lambda: Adversary(nn.Flatten()), "no parameters that require a gradient"),
    "no features": (lambda: adversary(reg="vib"), "features"),
    "no dropout": (lambda: adversary(reg="lipschitz_consistency"), "dropout"),
    "no labels in a schedule": (lambda: adversary(lr={"from": 1, "to": 0, "end_kimg": 3}), "calls of step"),
    "the generator's weights": (lambda: adversary(reg={"l2": {"players": ["generator"]}}), "no weights"),
    "a game of its own": (lambda: adversary(reg="consensus"), "a generator that ganlab trains"),
    "somebody else's parameters": (
        lambda: Adversary(Patches(), optimizer=torch.optim.Adam(Patches().parameters())), "none of the discriminator's"
    ),
    "an optimizer with a rate": (
        lambda: (lambda d: Adversary(d, optimizer=torch.optim.Adam(d.parameters()), lr=1))(Patches()), "leave lr out"
    ),
    "no optimizer": (lambda: Adversary(Patches(), optimizer=3), "optimizer must be a name"),
    "other shapes": (lambda: adversary().step(REAL, FAKE[:, :, :4]), "they must be the same"),
    "bytes": (lambda: adversary().step(REAL.byte(), FAKE.byte()), "must be floats"),
    "another device": (lambda: adversary().step(REAL.to("meta"), FAKE.to("meta")), "on meta and the discriminator on"),
    "a list": (lambda: adversary().step([REAL], FAKE), "must be a tensor"),  # type: ignore[arg-type]
    "a condition too many": (lambda: adversary().step(REAL, FAKE, 3), "takes samples only"),
    "no logits": (lambda: adversary(Says(lambda x: "real")).step(REAL, FAKE), "logits are a tensor"),
    "whole numbers": (lambda: adversary(Says(lambda x: x.flatten(1).argmax(1))).step(REAL, FAKE), "are no logits"),
    "another batch": (lambda: adversary(Says(lambda x: x[:3].mean((1, 2, 3)))).step(REAL, FAKE), "for 8 samples"),
    "logits without a graph": (
        lambda: adversary(Says(lambda x: x.detach().mean((1, 2, 3)))).step(REAL, FAKE), "have no graph"
    ),
    "half weights": (lambda: adversary(Patches().bfloat16(), reg="r1"), "reg=r1 .* weights are bfloat16"),
    "halved weights": (lambda: adversary(reg="r1").half(), "reg=r1 .* weights are float16"),
    "logits of nothing": (
        lambda: (lambda a: (a.step(REAL, FAKE), a.generator_loss(GRAPH)))(adversary(Blind())), "do not depend on fake"
    ),
    "doubles": (lambda: adversary().step(REAL, FAKE.double()), "fake is float64 and the discriminator is not"),
    "a state of others": (
        lambda: adversary().load_state_dict(adversary(Blind()).state_dict()), "another discriminator or optimizer"
    ),
    "no graph": (lambda: adversary().generator_loss(FAKE), "fake has no graph"),
    "a ratio alone": (lambda: adversary().generator_loss(GRAPH, last_layer=GRAPH), "give reconstruction"),
    "reals that are needed": (lambda: adversary(loss="relativistic").generator_loss(GRAPH), "give real"),
    "no features to match": (
        lambda: started(feature_matching=1.0).generator_loss(GRAPH, REAL), r"return \(logits, \[feature"
    ),
    "a frozen last layer": (
        lambda: started().generator_loss(GRAPH, reconstruction=GRAPH.sum(), last_layer=FAKE), "in no graph"
    ),
    "a last layer elsewhere": (
        lambda: started().generator_loss(GRAPH, reconstruction=GRAPH.sum(), last_layer=Decoder().out.weight),
        "does not depend on last_layer",
    ),
    "a word for a number": (lambda: adversary(start_step="x"), "start_step must be a whole number, got 'x'"),
    "a part of a step": (lambda: adversary(accumulate=1.5), "accumulate must be a whole number, got 1.5"),
    "a list for a norm": (lambda: adversary(clip=[1.0]), "clip must be a number or null"),
    "text for a switch": (lambda: adversary(guard="yes"), "guard must be true or false"),
    "a tensor for a rate": (lambda: adversary(lr=torch.ones(2)), r"optimizer.discriminator.lr must be a number"),
    "options that are none": (lambda: adversary(reg={"r1": 3}), "options of 'r1' must be a mapping, got 3"),
    "an augmentation that is none": (lambda: adversary(augment=REAL), "is no augmentation"),
    "no name of a network": (lambda: Adversary({}), "discriminator must be a torch module"),
    "no reals": (lambda: adversary().step(None, FAKE), "real must be a tensor"),  # type: ignore[arg-type]
    "no condition": (lambda: adversary(Conditional()).step(REAL, FAKE), "no condition is given"),
    "a condition of others": (
        lambda: adversary(Conditional()).step(REAL, FAKE, {"text": [REAL[:3]]}), "for 8 samples: its first dimension"
    ),
    "a sum of its own": (lambda: started().generator_loss(GRAPH, reconstruction=GRAPH), "must be one number"),
    "no last layer": (
        lambda: started().generator_loss(GRAPH, reconstruction=GRAPH.sum(), last_layer="out"),  # type: ignore[arg-type]
        "last_layer must be a tensor",
    ),
    "an end before the start": (lambda: adversary(start_step=5, total_steps=5), "must be above start_step"),
}  # fmt: skip


class Says(nn.Module):
    """A discriminator that says what a function says."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.weight = function, nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Any:
        return self.function(x * self.weight)


def started(**options: Any) -> Adversary:
    found = adversary(**options)
    found.step(REAL, FAKE)
    return found


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_is_answered_in_one_sentence_at_once(mistake: str) -> None:
    act, words = BAD[mistake]
    with pytest.raises(GanlabError, match=words):
        act()


def test_two_wrappers_that_both_average_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrapper(nn.parallel.DistributedDataParallel):
        def __init__(self, module: nn.Module) -> None:
            nn.Module.__init__(self)
            self.module = module

    assert Adversary(Wrapper(Patches()), optimizer="sgd").game.discriminator.__class__ is Patches
    with pytest.raises(GanlabError, match="would both average"):
        Adversary(Wrapper(Wrapper(Patches())))


@pytest.mark.parametrize(("reg", "cheap"), [(None, set()), ("r1", {"real"}), ("r2", {"fake"})])
def test_cheap_second_derivatives_are_made_where_a_penalty_differentiates(reg: Any, cheap: set[str]) -> None:
    """They cost a little Python: `ganlab.layers.convolution`."""

    class Recorded(Patches):
        def forward(self, x: Tensor) -> Tensor:
            found = super().forward(x)
            nodes: list[Any] = [found.grad_fn]
            names: set[str] = set()
            while nodes:
                node = nodes.pop()
                names.add(type(node).__name__)
                nodes.extend(after for after, _ in node.next_functions if after is not None)
            seen.append("_ConvolutionBackward" in names)
            return found

    seen: list[bool] = []
    own = adversary(seeded(Recorded), reg=reg)
    own.step(real=REAL, fake=FAKE)
    assert seen == [role in cheap for role in ("real", "fake")]
    own.generator_loss(fake=FAKE.clone().requires_grad_())
    assert seen[2:] == [False]
