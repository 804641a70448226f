"""Ten iterations of ours on the weights, pixels and draws of a fixture, see `trained`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trained import ITERATIONS, Draws

from ganlab.assembly import experiment
from ganlab.config import compose, configuration
from ganlab.contracts.plan import plan
from ganlab.contracts.view import View
from ganlab.core.randomness import Stream
from ganlab.engine.module import GameModule

Terms = dict[str, dict[str, Tensor]]
About = dict[str, Any]


@dataclass
class Translated:
    """A network of theirs: our options that make it, its tensors by our names, and how to find theirs in ours."""

    options: dict[str, Any]
    state: dict[str, Tensor]
    found: Callable[[dict[str, Tensor]], dict[str, Tensor]]


@dataclass
class Case:
    """Options and losses of one case.

    Args:
        words: The recipe, or what its authors' settings are in ganlab.
        losses: Theirs -> how it is made of ours, of each player's terms.
        options: Configuration that depends on the fixture, by its key.
        translated: Case, what the fixture says of itself, network -> its tensors.
        tolerance: Relative, of each tensor and of each loss.
    """

    words: Sequence[str]
    losses: dict[str, Callable[[Terms], Tensor]]
    options: Callable[[About], dict[str, Any]]
    translated: Callable[[str, About, str], Translated]
    tolerance: float = 1e-8


# what some codes do not have: counters, and statistics of batch norm for evaluation
UNKNOWN = {"num_batches_tracked", "_extra_state", "alpha", "running_mean", "running_var"}


def term(player: str, name: str = "adversarial", times: float = 1.0) -> Callable[[Terms], Tensor]:
    return lambda terms: times * terms[player][name]


BOTH = {player: term(player) for player in ("discriminator", "generator")}


def play(
    case: str,
    chosen: Case,
    about: About,
    monkeypatch: pytest.MonkeyPatch,
    precision: torch.dtype = torch.float64,
) -> tuple[GameModule, list[Terms], dict[str, Translated]]:
    networks = {name: chosen.translated(case, about, name) for name in about["shapes"]}
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
    if isinstance(composed["ema"]["half_life_kimg"], float):
        composed["ema"]["half_life_kimg"] *= composed["data"]["batch_size"] / recipes_batch
    module = experiment.build(configuration.checked(composed), with_data=False).module.to(precision)
    for name, network in networks.items():
        load(parts(module, name), network.state)
    load([("", module.average["generator"])], networks["G"].state)
    for name, regularizer in module.regularizers.items():
        if name == "vib":  # in double, and not what float32 makes of it
            regularizer.get_buffer("beta").fill_(composed["reg"][name]["initial_beta"])
    module.begin()
    draws = Draws(case)
    for name in ("draw", "draw_on_rank", "draw_shared"):
        monkeypatch.setattr(Stream, name, drawing(draws, composed["data"]["num_classes"], precision))
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


def parts(module: GameModule, network: str) -> list[tuple[str, nn.Module]]:
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
        assert {name.rpartition(".")[2] for name in missing} <= UNKNOWN, missing


def tensors_of(modules: list[tuple[str, nn.Module]]) -> dict[str, Tensor]:
    return {prefix + name: value for prefix, module in modules for name, value in module.state_dict().items()}


def drawing(draws: Draws, classes: int, precision: torch.dtype) -> Callable[..., Tensor]:
    def draw(self: Stream, purpose: str, shape: Sequence[int], distribution: str = "normal") -> Tensor:
        if purpose == "labels":
            return (draws.labels(shape[0], classes).double().add(0.5) / classes).float()
        if purpose == "order of codes":  # the order in which uniform numbers stand
            return torch.empty(shape).scatter_(0, draws.order(shape[0]), torch.arange(shape[0]) / shape[0])
        if purpose.startswith("vib"):
            return draws.noise(*shape).to(precision)
        if purpose == "dequantization":
            return draws.dequantization(*shape).to(precision)
        if purpose.startswith("dropout"):
            return draws.mask(purpose, *shape).to(precision)
        return (draws.uniform(*shape) if distribution == "uniform" else draws.normal(*shape)).to(precision)

    return draw


def batches(
    module: GameModule, draws: Draws, composed: dict[str, Any], iterations: int
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
