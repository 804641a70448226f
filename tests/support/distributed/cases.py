"""Cases for several ranks and one process: games, and bare collectives."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.contracts.game import Game
from ganlab.contracts.setting import Setting
from ganlab.contracts.view import View
from ganlab.core import distributed, randomness, registry
from ganlab.core.randomness import Stream
from ganlab.data.prepare import Images
from ganlab.growth import Progressive
from ganlab.layers.norm import BatchNorm
from support.engine import BATCH, Engine, NormalizedDiscriminator, NormalizedGenerator, flat, images, shares

ITERATIONS = 2  # four steps of the discriminator and two of the generator
LONG = 4  # for what acts in some steps only, or follows an average
CLASSES = 3
Options = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A game of two tiny networks with batch norm.

    Args:
        loss: Name of the loss.
        game: Name of the game.
        options: Its options.
        reg: Name of each regularizer -> its options.
        augment: Name of an augmentation -> its options.
        num_classes: 0: unconditional.
        generator: Name of a family; None: the tiny network.
        discriminator: The same.
        clip: Largest gradient norm of the discriminator.
        update: The game's update rule.
        every_forward: When layers' state moves.
        rate: Learning rate of SGD.
        iterations: How many are played.
        grows: Whether networks that can grow do so.
        averaged: False: gradients are not averaged over ranks, as if the all-reduce had been forgotten.
        across_ranks: False: batch norm takes each rank's own statistics.
        sliced: Draws that key on the rank are slices of a global draw instead, so that the rest can be compared.
        double: In float64. Whole families at their smallest sizes make images that are nearly alike, and their
            standard deviation over a minibatch cancels down to float32's rounding.
        compile: Networks are compiled.
    """

    loss: str = "non_saturating"
    game: str = "standard"
    options: Options = field(default_factory=dict)
    reg: dict[str, Options] = field(default_factory=dict)
    augment: dict[str, Options] = field(default_factory=dict)
    num_classes: int = 0
    generator: str | None = None
    discriminator: str | None = None
    clip: float | None = None
    update: str = "alternating"
    every_forward: bool = False
    rate: float = 0.05
    iterations: int = ITERATIONS
    grows: bool = False
    averaged: bool = True
    across_ranks: bool = True
    sliced: bool = False
    double: bool = False
    compile: bool = False


# Strengths at which every penalty is felt beside the loss.
FELT: dict[str, Options] = {
    "drift": {"weight": 1.0},
    "l2": {"weight": 0.1, "players": ["generator", "discriminator"]},
    "consistency": {"real": 1.0, "fake": 1.0, "latent": 1.0, "diversity": 0.1},
    "entropy": {"width": 4},
    "path_length": {"weight": 0.5, "interval_steps": 2, "decay": 0.5},
    "pulling_away": {"weight": 1.0},
    "ortho": {"weight": 1e-3, "players": ["generator", "discriminator"]},
    "singular_value": {"weight": 1.0, "players": ["generator", "discriminator"]},
    "sn": {"players": ["generator", "discriminator"]},
    "vib": {"channels": 6, "beta_step": 0.1},
    "gradient_penalty": {"weight": 1.0},
    "consensus": {"gamma": 0.1},
    "dragan": {"weight": 1.0},
    "lecam": {"decay": 0.9},
    "locally_stable": {"weight": 0.1},
    "weight_clipping": {"limit": 0.2},
    "wgan_div": {"k": 0.2, "p": 3.0},
}


def reg(*names: str, **options: Options) -> dict[str, Options]:
    return {**{name: FELT.get(name, {}) for name in names}, **options}


ENERGIES = {"energy_margin": "autoencoder"}
LOSSES = {f"loss={name}": Case(loss=name, discriminator=ENERGIES.get(name)) for name in registry.names("loss")}
KEYED_ON_THE_RANK = {"dropout", "lipschitz_consistency", "path_length"}
WITH_MEMORY = {"lecam", "path_length", "vib"}
WITH = {"lipschitz_consistency": ("dropout",)}  # without, its two passes are one
REGULARIZERS = {
    f"reg={name}": Case(
        reg=reg(*WITH.get(name, ()), name),
        num_classes=CLASSES,
        sliced=name in KEYED_ON_THE_RANK,
        iterations=LONG if name in WITH_MEMORY else ITERATIONS,
    )
    for name in registry.names("reg")
}
COMBINATIONS = {
    "no regularizer": Case(),
    "hinge, sn and ortho": Case(loss="hinge", reg=reg("sn", "ortho")),
    "wgan_gp with drift": Case(loss="wasserstein", reg=reg("gradient_penalty", "drift")),
    "vib with r1": Case(reg=reg("vib", "r1")),
    "vib sampling for the generator": Case(reg={"vib": {**FELT["vib"], "generator_sees": "sample"}}),
    "r1 and r2 in lazy turns": Case(reg={"r1": {"interval_steps": 2}, "r2": {"interval_steps": 3}}, iterations=LONG),
    "wgan_div at both kinds of images": Case(
        loss="wasserstein", reg={"wgan_div": {**FELT["wgan_div"], "points": "real_and_fake"}}
    ),
    "everything at once": Case(
        loss="relativistic_average", reg=reg("sn", "ortho", "vib", "r1", "r2", "drift"), iterations=LONG
    ),
    "diff_augment with r1": Case(reg=reg("r1"), augment={"diff_augment": {}}),
    "ada with all transformations": Case(
        reg=reg("r1"),
        augment={"ada": {"policy": "bgcfnc", "p": 0.5, "interval_steps": 2, "kimg": 0.05}},
        sliced=True,
        iterations=LONG,
    ),
    "top_k of pairs": Case(loss="relativistic", reg=reg("top_k")),
    "noise of dragan's code": Case(reg={"dragan": {**FELT["dragan"], "noise": "uniform"}}),
    "consensus in simultaneous steps": Case(reg=reg("consensus"), update="simultaneous"),
    "sn by decomposition and ortho as a term": Case(
        reg={"sn": {**FELT["sn"], "exact": True}, "ortho": {**FELT["ortho"], "as_term": True}}
    ),
    "sn of operators": Case(reg={"sn": {**FELT["sn"], "convolutions": "operator"}}),
    "clamped singular values": Case(reg={"singular_value": {**FELT["singular_value"], "method": "clamp"}}),
    "clipping": Case(clip=0.05),
    "extragradient": Case(update="extragradient"),
    "state in every pass": Case(reg=reg("sn"), every_forward=True),
    "one pass": Case(reg=reg("sn", "r1", "vib"), every_forward=True, options={"one_pass": True}),
    "one pass with minibatch deviation": Case(
        "wasserstein",
        reg=reg("gradient_penalty"),
        options={"one_pass": True},
        generator="pggan",
        discriminator="pggan",
        rate=1e-3,
        double=True,
    ),
    "labels of the reals": Case(reg=reg("r1"), options={"fake_labels": "reals"}),
    "uniform labels": Case(reg=reg("r1"), options={"fake_labels": "uniform"}),
}
FAMILIES = {
    f"family={name}": Case(
        "hinge",
        reg=reg("sn"),
        num_classes=CLASSES,
        generator=name,
        discriminator=name,
        rate=1e-3,
        double=True,
    )
    for name in sorted({*registry.names("generator")} & {*registry.names("discriminator")})
}
# 4 pixels for two iterations, then 8 fade in with twice the batch
GROWING = {"growing": Case("wasserstein", reg=reg("gradient_penalty"), generator="pggan", discriminator="pggan",
                           rate=0.1, grows=True, iterations=LONG)}  # fmt: skip
GAMES = {
    "game=bigan": Case(game="bigan", options={"stochastic": True, "width": 5}),
    "game=bigan, conditional": Case(game="bigan", num_classes=CLASSES, reg=reg("r1")),
    "game=ebgan": Case("energy_margin", "ebgan", discriminator="autoencoder", rate=0.02),
    # a margin that the divergence is near, so that the hinge of a rank's own mean would be another one
    "game=introvae": Case(game="introvae", options={"margin": 0.5, "beta": 0.05}, rate=0.01),
    "game=meg": Case(game="meg", rate=0.02, options={"score_penalty": 1.0}),
    "game=meg, conditional": Case(game="meg", num_classes=CLASSES, rate=0.02, options={"score_penalty": 1.0}),
}
EQUAL: dict[str, Case] = {
    **GAMES,
    **LOSSES,
    **REGULARIZERS,
    **{name: replace(case, num_classes=CLASSES) for name, case in COMBINATIONS.items()},
    "everything at once, without classes": COMBINATIONS["everything at once"],
    **FAMILIES,
    **GROWING,
}
NOT_AVERAGED = {name: replace(case, averaged=False, iterations=1) for name, case in {**LOSSES, **REGULARIZERS}.items()}
APART = {"own statistics": Case(across_ranks=False, iterations=1)}


def network(kind: str, name: str | None, num_classes: int) -> Any:
    torch.manual_seed(randomness.key(kind, 7))
    if name is None:
        return (NormalizedGenerator if kind == "generator" else NormalizedDiscriminator)(num_classes)
    component = registry.load(kind, name)
    known = inspect.signature(component).parameters
    kinds = [k for k in ("generator", "discriminator") if name in registry.names(k)]
    sizes = [registry.load(k, name).image_sizes for k in kinds]
    size = next(side for side in range(1, 65) if all(side in allowed for allowed in sizes))
    given = {"image_size": size, "image_channels": 1, "num_classes": num_classes, "latent_dim": 6, "depth": 1}
    given |= {"w_dim": 6, "mapping_width": 6, "noise": False}  # noise a pixel is each rank's own
    given = {option: value for option, value in given.items() if option in known}
    for width in (4, 8, 16):  # attention needs some
        try:
            return component(**given, **({"width": width} if "width" in known else {}))
        except ValueError as error:
            refusal = error
    raise refusal


def attempt(case: Case) -> dict[str, Any]:
    """`play`, or the error: one broken component must not take the other cases with it."""
    try:
        return play(case)
    except Exception:
        return {"error": traceback.format_exc()}


def play(case: Case) -> dict[str, Any]:
    """Gradients of every step of the first iteration; weights and buffers at the end."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if case.double else torch.float32)
    try:
        return _play(case)
    finally:
        torch.set_default_dtype(before)


def engine_of(case: Case) -> tuple[Engine, Images]:
    """The case, ready to play, and its images."""
    generator = network("generator", case.generator, case.num_classes)
    discriminator = network("discriminator", case.discriminator, case.num_classes)
    for module in (*generator.modules(), *discriminator.modules()):
        if isinstance(module, BatchNorm):
            module.across_ranks = case.across_ranks
    codes = {"image_size": generator.image_shape[1:], "image_channels": 1, "latent_dim": generator.latent_dim}
    parts = {
        "generator": generator,
        "discriminator": discriminator,
        "loss": registry.load("loss", case.loss)(),
        "discriminator_steps": 2,
        "update": case.update,
        **case.options,
    }
    component = registry.load("game", case.game)
    takes = inspect.signature(component).parameters
    for kind, family in (("encoder", "dcgan"), ("statistics", "meg")):
        if kind in takes:
            parts[kind] = registry.load(kind, family)(**codes, width=4)
    game: Game = component(**{name: part for name, part in parts.items() if name in takes})
    if case.grows:
        game.growth = Progressive([(4, 4), (8, 8)], list(game.players), BATCH, stable_kimg=0.02, fade_kimg=0.2,
                                  batch_sizes={8: 2 * BATCH})  # fmt: skip
    torch.manual_seed(8)
    chosen = {"augment": case.augment, "reg": case.reg}
    regularizers = {n: registry.load(kind, n)(**o) for kind, parts in chosen.items() for n, o in parts.items()}
    setting = Setting(
        registry.load("prior", "normal")(),
        generator.latent_dim,
        label_shares=shares(case.num_classes),
        every_forward=case.every_forward,
    )
    clip = {} if case.clip is None else {"discriminator": case.clip}
    engine = Engine(game, regularizers, rate=case.rate, setting=setting, clip=clip, accumulate=2,
                    compile=case.compile)  # fmt: skip
    return engine, images(num_classes=case.num_classes, shape=generator.image_shape)


def _play(case: Case) -> dict[str, Any]:
    engine, data = engine_of(case)
    average, distributed.average = distributed.average, distributed.average if case.averaged else lambda tensors: None
    draw_on_rank = Stream.draw_on_rank
    Stream.draw_on_rank = Stream.draw if case.sliced else draw_on_rank  # type: ignore[method-assign]
    try:
        engine.play(data)
        first = engine.gradients[:]
        engine.play(data, case.iterations - 1)
    finally:
        distributed.average = average
        Stream.draw_on_rank = draw_on_rank  # type: ignore[method-assign]
    weights = {name: flat(player.parameters()) for name, player in engine.game.players.items()}
    return {"gradients": first, "weights": weights, "state": engine.state()}


# --- bare collectives: what a rank has, and what one process computes from everything


def collective(x: Tensor, w: Tensor, mean: Callable[[Tensor], Tensor], gather: Callable[[Tensor], Tensor]) -> Tensor:
    """A loss of this rank's x that other ranks' x enter twice, in no linear way."""
    h = torch.tanh(x * w)
    everyone = gather(h)
    return (h.square() * mean(h.exp().mean(0))).mean() + (h[:, None] - everyone[None]).pow(4).mean()


def whole(rank: int, world: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    x = torch.randn(3 * world, 4, generator=random, dtype=torch.float64)
    w = torch.randn(4, generator=random, dtype=torch.float64)
    return x.chunk(world)[rank].clone().requires_grad_(), w.requires_grad_()


def adjoints() -> dict[str, Tensor]:
    """First and second derivatives of `collective` on this rank."""
    x, w = whole(distributed.rank(), distributed.world_size())
    value = collective(x, w, View.mean, View.gather)
    gx, gw = torch.autograd.grad(value, (x, w), create_graph=True)
    penalty = gx.square().sum() + value
    second = torch.autograd.grad(penalty, (x, w))
    return {"value": value.detach(), "x": gx.detach(), "w": gw.detach(), "second x": second[0], "second w": second[1]}


def draws() -> dict[str, Tensor]:
    """Draws of a stream on this rank; dropout in a micro-batch of two iterations."""
    stream = Stream(0, 64, 1, 0)
    found = {"slice": stream.draw("latents", (3, 2)), "own": stream.draw_on_rank("noise", (3, 2))}
    found["second slice"] = stream.draw("latents", (3, 2), "uniform")
    for images_seen in (0, 64):
        with randomness.using(Stream(0, images_seen, 0, 0)):
            found[f"dropout at {images_seen}"] = nn.functional.dropout(torch.ones(64))
    return found


def broadcast() -> dict[str, Tensor]:
    """Networks that differ between ranks, before and after the strategy sets up a module."""
    from ganlab.runs.strategy import ReplicaStrategy

    torch.manual_seed(distributed.rank())
    module = NormalizedGenerator().to(memory_format=torch.channels_last)
    module.get_buffer("norm.running_mean").normal_()
    module.get_buffer("norm.num_batches_tracked").fill_(distributed.rank() + 5)
    found = {"before": module.conv.weight.detach().clone()}
    strategy = ReplicaStrategy()
    strategy.model = module
    strategy.configure_ddp()
    found["wrapped"] = torch.tensor(strategy.model is not module)
    found.update({name: tensor.detach().clone() for name, tensor in module.state_dict().items()})
    return found


def averages() -> dict[str, Tensor]:
    """`distributed.average` of tensors of two dtypes and of strange strides."""
    rank = distributed.rank()
    tensors = {
        "float": torch.arange(6.0).view(2, 3) + rank,
        "double": torch.full((2,), 1.0 + 4 * rank, dtype=torch.float64),
        "strided": (torch.arange(16.0).view(1, 4, 2, 2) * (rank + 1)).contiguous(memory_format=torch.channels_last),
        "scalar": torch.tensor(float(rank)),
    }
    distributed.average(tensors.values())
    return tensors


def evaluation() -> dict[str, Tensor]:
    """Every metric, of a random generator, and the path length of another; on the first rank."""
    import tempfile
    from pathlib import Path

    from ganlab.contracts.metric import Context
    from ganlab.data.digits import Digits
    from ganlab.data.prepare import prepare
    from ganlab.data.run_images import RunData
    from ganlab.data.splits import split
    from ganlab.evaluation import engine, sources
    from ganlab.evaluation.protocol import preset
    from ganlab.priors import Normal
    from ganlab.sampling import generation

    data = prepare(Digits(), image_size=(8, 8), image_channels=1, num_workers=0)
    made = {n: registry.load("metric", n) for n in registry.names("metric")}
    metrics = [n for n, metric in made.items() if not metric.needs_run and not metric.of_points]
    small = {"metrics": [*metrics, "ppl"], "samples": 450, "features.dim": 6, "features.width": 4, "features.kimg": 1}
    small |= {"ppl.samples": 40, "ppl.distance": "pixels", "ppl.ends": False}
    torch.manual_seed(0)
    generator = registry.load("generator", "dcgan")(image_size=8, image_channels=1, num_classes=10, width=4).eval()
    shares = torch.full((10,), 0.1)
    source = sources.of_generator(generator, Normal(), 450, 0, shares, (1, 8, 8))
    sizes = {"latent_dim": 4, "w_dim": 4, "mapping_width": 4, "width": 32}
    styled = registry.load("generator", "stylegan")(image_size=8, image_channels=1, num_classes=10, **sizes).eval()
    with tempfile.TemporaryDirectory() as cache:
        real = RunData(data, split(len(data), 0.25), lambda: "digits")
        evaluator = engine.Evaluator(preset("digits").changed(small), real, cache=Path(cache))
        # a discriminator that looks at the whole batch, as one with the minibatch's standard deviation
        context = Context(
            discriminator=lambda x, y, real: x.float().mean((1, 2, 3)) - distributed.mean(x.float().mean()),
            generator=styled,
            latents=lambda start, stop: generation.latents(Normal(), 0, stop - start, 4, start),
            labels=lambda start, stop: sources.labels_of(shares, 0, start, stop),
        )
        result = evaluator.score(source, context)
    values = {name: v.value for score in result.scores.values() for name, v in score.values.items()}
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


BARE: dict[str, Callable[[], dict[str, Tensor]]] = {
    f.__name__: f for f in (adjoints, draws, broadcast, averages, evaluation)
}


def run_all() -> dict[str, Any]:
    """Everything, by name."""
    cases = {**EQUAL, **{f"not averaged: {n}": c for n, c in NOT_AVERAGED.items()}, **APART}
    return {**{name: attempt(case) for name, case in cases.items()}, **{name: f() for name, f in BARE.items()}}
