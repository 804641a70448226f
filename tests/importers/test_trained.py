"""Ten iterations equal those of the references' own code: weights, vectors, statistics, averages and losses.

Both begin with the same weights and see the same pixels and draws, in double precision; see `make_trained.py`,
`make_trained_more.py` and `make_trained_zoo.py`. What runs is the recipe, where there is one, with other sizes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trained import FOLDER, ITERATIONS, Draws, kept, read, weights

from ganlab import importers
from ganlab.assembly import experiment
from ganlab.config import compose, configuration
from ganlab.contracts.plan import plan
from ganlab.contracts.view import View
from ganlab.core.randomness import Stream
from ganlab.engine.module import GANModule
from ganlab.importers.network import Tensors

TOLERANCE = 1e-8  # relative, of each tensor and of each loss
CASES = sorted(path.stem for path in FOLDER.glob("*.npz"))
Terms = dict[str, dict[str, Tensor]]
About = dict[str, Any]


@dataclass
class Case:
    """Options and losses of one case.

    Args:
        words: The recipe, or what its authors' settings are in ganlab.
        losses: Theirs -> how it is made of ours, of each player's terms.
        options: Configuration that depends on the fixture, by its key.
    """

    words: Sequence[str]
    losses: dict[str, Callable[[Terms], Tensor]]
    options: Callable[[About], dict[str, Any]]


def term(player: str, name: str = "adversarial", times: float = 1.0) -> Callable[[Terms], Tensor]:
    return lambda terms: times * terms[player][name]


def of_biggan(about: About) -> dict[str, Any]:
    """The average's clock is counted in images: an iteration here shows fewer than one of the recipe does."""
    given = about["config"]
    batch = given["batch_size"] * given["num_D_accumulations"]
    start = (given["ema_start"] - 1) * batch * given["num_D_steps"] / 1000
    return {"data.image_size": given["resolution"], "data.num_classes": given["n_classes"], "data.batch_size": batch,
            "accumulate": given["num_D_accumulations"], "ema.start_kimg": start}  # fmt: skip


def of_mimicry(about: About) -> dict[str, Any]:
    return {"data.num_classes": about["classes"], "data.batch_size": about["batch"],
            "game.discriminator_steps": about["steps"], "data.image_size": 32}  # fmt: skip


def of_stability(about: About) -> dict[str, Any]:
    return {"data.num_classes": about["classes"], "data.batch_size": about["batch"], "data.image_size": about["size"],
            "generator.latent_dim": about["latent_dim"], "generator.embedding_dim": about["embedding_dim"],
            "generator.width": 4, "discriminator.width": 4, "generator.largest_width": 8,
            "discriminator.largest_width": 8}  # fmt: skip


def of_vgan(about: About) -> dict[str, Any]:
    """The fixture neither flips nor dequantizes."""
    return {**of_stability(about), "data.mirror": False, "data.dequantize": False}


def of_meg(about: About) -> dict[str, Any]:
    widths = {f"{kind}.width": about["width"] for kind in ("generator", "discriminator", "statistics")}
    return {
        "data.batch_size": about["batch"],
        "data.image_size": 32,
        "generator.latent_dim": about["latent_dim"],
        **widths,
    }


def of_zoo(about: About) -> dict[str, Any]:
    """Its losses are sums over the batch, of which Adam notices epsilon alone."""
    batch, counts, alphas = about["batch"], about["iterations"], about["alphas"]
    options = {"data.batch_size": batch, "data.num_classes": 0, "data.image_size": 4 * 2 ** (len(counts) - 1),
               **{f"optimizer.{player}.eps": 1e-8 / batch for player in BIGGAN}}  # fmt: skip
    if any(alphas):
        # one iteration of a stable level is at its very last image, after which the next level has a share at once
        stable = [
            count - sum(alpha > 0 for alpha in of_level) - 1 for count, of_level in zip(counts, alphas, strict=True)
        ]
        options["growth.stable_kimg"] = [batch * count / 1000 for count in stable]
        options["growth.fade_kimg"] = [batch * len(of_level) / 1000 for of_level in alphas[1:]]
    return options


BIGGAN = {player: term(player) for player in ("discriminator", "generator")}
MIMICRY = (
    "game.fake_labels=uniform",
    "state_updates=every_forward",
    "ema.half_life_kimg=0",
    *(f"optimizer.{player}.lr={{from: 2.0e-4, to: 0.0, end_steps: {ITERATIONS}}}" for player in BIGGAN),
    *(f"optimizer.{player}.betas=[0.0,0.9]" for player in BIGGAN),
)
NORMALIZED = ("loss=hinge", "reg=sn", "reg.sn.evaluation=stored", *MIMICRY)
ZOO = ("model=pggan", "loss=wgan_gp", "reg=drift", "ema.half_life_steps=692.8", "ema.ramp_up=null")
ZOO_LOSSES = {
    **{player: term(player, times=4) for player in BIGGAN},
    **{name: term("discriminator", name, times=4) for name in ("gradient_penalty", "drift")},
}
R1 = {**BIGGAN, "penalty": term("discriminator", "r1")}
CASE = {
    "biggan_cifar10": Case(["experiment=biggan_cifar10"], BIGGAN, of_biggan),
    "biggan_imagenet128": Case(["experiment=biggan_imagenet128"], BIGGAN, of_biggan),
    "biggan_deep_imagenet128": Case(["experiment=biggan_deep_imagenet128"], BIGGAN, of_biggan),
    "mimicry_sngan": Case(["model=sngan", *NORMALIZED, "reg.sn.players=[discriminator]"], BIGGAN, of_mimicry),
    "mimicry_cgan_pd": Case(["model=sngan", *NORMALIZED, "reg.sn.players=[discriminator]"], BIGGAN, of_mimicry),
    "mimicry_sagan": Case(["model=sagan", *NORMALIZED, "reg.sn.players=[discriminator,generator]"], BIGGAN, of_mimicry),
    "mimicry_wgan_gp": Case(
        ["model=sngan", "loss=wgan_gp", *MIMICRY],
        {**BIGGAN, "gradient_penalty": term("discriminator", "gradient_penalty")},
        of_mimicry,
    ),
    "r1_celebahq": Case(["experiment=r1_celebahq"], R1, of_stability),
    "r1_conditional": Case(
        ["experiment=r1_celebahq", "game.fake_labels=reals"], R1, of_stability
    ),
    "stability_wgangp": Case(
        ["model=gan_stability", "loss=non_saturating", "reg=gradient_penalty", "ema.half_life_steps=692.8",
         "ema.ramp_up=null"],
        {**BIGGAN, "penalty": term("discriminator", "gradient_penalty")},
        of_stability,
    ),
    "vgan_cifar10": Case(["experiment=vgan_cifar10"], {**BIGGAN, "vib": term("discriminator", "vib")}, of_vgan),
    "meg_cifar10": Case(
        ["experiment=meg_cifar10"],
        {"energy": term("discriminator", "energy"), "score": term("discriminator", "score"),
         "generator": term("generator", "energy"), "information": term("generator", "information")},
        of_meg,
    ),
    "zoo_stable": Case(ZOO, ZOO_LOSSES, of_zoo),
    "zoo_growing": Case(
        [*ZOO, "growth=progressive", "growth.reset_after_fade=false", "growth.restart_average=true"], ZOO_LOSSES, of_zoo
    ),
}  # fmt: skip


# --- their networks' tensors under our names


@dataclass
class Translated:
    """A network of theirs: our options that make it, its tensors by our names, and how to find theirs in ours."""

    options: dict[str, Any]
    state: dict[str, Tensor]
    found: Callable[[dict[str, Tensor]], dict[str, Tensor]]


def stability_names(network: str, name: str) -> str:
    """Of GAN_stability and of vgan, which has a bottleneck of 1x1 convolutions."""
    name = re.sub(r"resnet\.(\d+)\.", lambda m: f"blocks.{int(m[1]) // 2}.", name)
    pairs = {"conv_0": "conv1", "conv_1": "conv2", "conv_s": "shortcut", "fc.": "linear.", "mean_fn": "vib.mean",
             "logstd_fn": "vib.log_std", "conv_img": "output" if network == "G" else "input"}  # fmt: skip
    for theirs, ours in pairs.items():
        name = name.replace(theirs, ours)
    return name


def meg_names(network: str, name: str) -> str:
    """Of MEG, whose layers are numbered with all that is between them."""
    if not name.startswith("main."):
        pairs = {"classify.0": "both", "classify.2": "output", "expand": "image" if network == "H" else "linear"}
        return next(name.replace(theirs, ours) for theirs, ours in pairs.items() if theirs in name)
    _, place, field = name.split(".")
    if network != "G":
        return f"body.convs.{int(place) // 2}.{field}"
    step, kind = divmod(int(place), 3)
    return f"output.{field}" if step == 3 else f"{('convs', 'norms')[kind]}.{step}.{field}"


def translated(case: str, about: About, network: str) -> Translated:
    values = weights(f"{case}/{network}", about["shapes"][network])
    if "format" not in about:
        named = meg_names if case.startswith("meg") else stability_names
        names = {name: named(network, name) for name in values}
        state = {names[n]: v.flatten(1) if "_fn.weight" in n else v for n, v in values.items()}
        return Translated({}, state, lambda ours: {theirs: ours[name] for theirs, name in names.items()})
    chosen = importers.formats()[about["format"]]
    if about["format"] == "gan_zoo":
        values["config.alpha"] = torch.zeros(())
    tensors = Tensors(values, network)
    if network == "G":
        made = chosen.generator(tensors)
    else:
        size = about["config"]["resolution"] if "config" in about else 32
        made = chosen.discriminator(tensors, (size, 3, 0))

    def found(ours: dict[str, Tensor]) -> dict[str, Tensor]:
        there = {made.theirs(key): value for key, value in ours.items() if not key.endswith("_extra_state")}
        for key, gain in ours.items():
            if about["format"] == "mimicry" and key.endswith(".gain.weight"):  # there it is around 1, and both are one
                offset = ours[key.replace(".gain.", ".offset.")]
                there[made.theirs(key).replace(".gain.", ".embed.")] = torch.cat([gain + 1, offset], 1)
        return there

    return Translated(made.options, made.state, found)


# --- our run


def play(
    case: str, about: About, monkeypatch: pytest.MonkeyPatch
) -> tuple[GANModule, list[Terms], dict[str, Translated]]:
    networks = {name: translated(case, about, name) for name in about["shapes"]}
    chosen = CASE[case]
    composed = compose.composed([*chosen.words, "data=digits", "data.image_channels=3"])
    recipes_batch = composed["data"]["batch_size"]
    options = {f"{kind}.{key}": value for kind, name in (("generator", "G"), ("discriminator", "D"))
               for key, value in networks[name].options.items()}  # fmt: skip
    for key, value in {**options, **chosen.options(about)}.items():
        *path, last = key.split(".")
        node = composed
        for part in path:
            node = node[part]
        node[last] = value
    # the recipe's half-life in iterations stays what it is, though an iteration shows fewer images
    composed["ema"]["half_life_kimg"] *= composed["data"]["batch_size"] / recipes_batch
    module = experiment.build(configuration.checked(composed), with_data=False).module.double()
    for name, network in networks.items():
        load(parts(module, name), network.state)
    load([("", module.average["generator"])], networks["G"].state)
    for name, regularizer in module.regularizers.items():
        if name == "vib":  # in double, and not what float32 makes of it
            regularizer.get_buffer("beta").fill_(composed["reg"][name]["initial_beta"])
    module.begin()
    draws = Draws(case)
    monkeypatch.setattr(Stream, "draw", drawing(draws, composed["data"]["num_classes"]))
    terms: list[Terms] = []
    objectives = View.objectives

    def recording(view: View) -> Terms:
        made = objectives(view)
        terms.append(made)
        return made

    monkeypatch.setattr(View, "objectives", recording)
    for batch in batches(module, draws, composed, sum(about.get("iterations", [ITERATIONS]))):
        module.iterate(batch)
    return module, terms, networks


def parts(module: GANModule, network: str) -> list[tuple[str, nn.Module]]:
    """Return the modules of a network of theirs, each with the prefix of its tensors in `Translated.state`."""
    if network in ("G", "average"):
        return [("", module.game.get_submodule("generator") if network == "G" else module.average["generator"])]
    if network == "H":
        return [("", module.game.get_submodule("statistics"))]
    others = {n: m for n, m in module.game.players["discriminator"].modules.items() if n != "discriminator"}
    return [("", module.game.get_submodule("discriminator")), *((f"{name}.", other) for name, other in others.items())]


def load(modules: list[tuple[str, nn.Module]], state: dict[str, Tensor]) -> None:
    left = dict(state)
    for prefix, module in reversed(modules):
        own = {name.removeprefix(prefix): left.pop(name) for name in state if name in left and name.startswith(prefix)}
        missing, unexpected = module.load_state_dict(own, strict=False)
        assert not unexpected
        assert {name.rpartition(".")[2] for name in missing} <= {"num_batches_tracked", "_extra_state", "alpha"}, (
            missing
        )


def tensors_of(modules: list[tuple[str, nn.Module]]) -> dict[str, Tensor]:
    return {prefix + name: value for prefix, module in modules for name, value in module.state_dict().items()}


def drawing(draws: Draws, classes: int) -> Callable[..., Tensor]:
    def draw(self: Stream, purpose: str, shape: Sequence[int], distribution: str = "normal") -> Tensor:
        if purpose == "labels":
            return (draws.labels(shape[0], classes).double().add(0.5) / classes).float()
        if purpose == "order of codes":  # the order in which uniform numbers stand
            return torch.empty(shape).scatter_(0, draws.order(shape[0]), torch.arange(shape[0]) / shape[0])
        if purpose.startswith("vib"):
            return draws.noise(*shape)
        return draws.uniform(*shape) if distribution == "uniform" else draws.normal(*shape)

    return draw


def batches(
    module: GANModule, draws: Draws, composed: dict[str, Any], iterations: int
) -> Iterator[dict[str, list[Tensor | None]]]:
    """Yield the batches of the turns that take new real images, an iteration at a time."""
    data, accumulate = composed["data"], composed["accumulate"]
    for _ in range(iterations):
        stage = module.game.stage(module.progress.images_seen)
        size = data["image_size"] if stage is None else stage.image_size[0]
        fresh = [slot for slot in plan(module.game, module.progress, data["batch_size"]).slots if slot.fresh]
        images: list[Tensor | None] = []
        labels: list[Tensor | None] = []
        for slot in fresh:
            pairs = [draws.reals(slot.batch // accumulate, size, data["num_classes"])
                     for _ in range(accumulate)]  # fmt: skip
            images.append(torch.cat([x for x, _ in pairs]))
            labels.append(torch.cat([y for _, y in pairs]) if data["num_classes"] else None)
        yield {"images": images, "labels": labels}


def error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp_min(1e-300))


@pytest.mark.parametrize("case", CASES)
def test_ten_iterations_equal_those_of_the_published_code(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    about, losses, expected = read(case)
    module, terms, networks = play(case, about, monkeypatch)
    for name, values in losses.items():
        made = [CASE[case].losses[name](terms_) for terms_ in terms if applies(CASE[case].losses[name], terms_)]
        assert error(torch.stack(made).detach(), values) < TOLERANCE, name
    for network, tensors in expected.items():
        found = networks["G" if network == "average" else network].found(tensors_of(parts(module, network)))
        compared = [name for name in tensors if compares(name, network)]
        assert len(compared) > 5
        for name in compared:
            assert error(kept(found[name]), tensors[name]) < TOLERANCE, f"{network}: {name}"


def applies(make: Callable[[Terms], Tensor], terms: Terms) -> bool:
    try:
        make(terms)
    except KeyError:
        return False
    return True


def compares(name: str, network: str) -> bool:
    """Not counters; and BigGAN-PyTorch averages spectral norm's vectors too, of which ours are copies."""
    if re.search(r"(num_batches_tracked|sv0|sn_sigma)$", name):
        return False
    return network != "average" or not name.endswith(".u0")
