"""The page's JavaScript against ganlab: vector field, trajectories and eigenvalues of what the page offers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from support import javascript

from ganlab.config.component import Component
from ganlab.config.configuration import Config
from ganlab.core import registry
from ganlab.dynamics import building, maps, offers, page, pits
from ganlab.dynamics.field import Field
from ganlab.dynamics.offers import Offer
from ganlab.dynamics.play import Play
from ganlab.dynamics.quadrature import LEVELS, nodes

POINTS = ([0.9, -0.7], [-1.6, 1.1], [0.02, 1.4])
ITERATIONS = 6
RATES, MOMENTUM, STEPS = (0.13, 0.07), (0.3, -0.2), 2
CLOSE = 1e-6
RUN = """(cases) => cases.map(({game, points, iterations}) => {
  game.loss = Dirac.losses[game.loss.component](game.loss.options);
  game.regularizer = Dirac.regularizers[game.regularizer.component](game.regularizer.options);
  return {
    field: points.map((w) => Dirac.field(game, w)),
    paths: points.map((w) => Dirac.trajectory(game, w, iterations)),
    flow: Eigenvalues.ofFlow(game),
    map: Eigenvalues.ofMap(game),
  };
})"""


@dataclass(frozen=True)
class Case:
    loss: Offer
    regularizer: Offer | None
    update: str
    momentum: tuple[float, float] = MOMENTUM

    @property
    def refused(self) -> bool:
        return self.regularizer is not None and self.loss.name in _refusals().get(self.regularizer.name, {})

    def strength(self) -> dict[str, float]:
        slider = None if self.regularizer is None else self.regularizer.strength
        return {} if slider is None else {slider.option: 0.7 * slider.first}

    def plain(self) -> dict[str, Any]:
        regularizer: dict[str, Any] = {"component": "none", "options": {}}
        if self.regularizer is not None:
            options = {**self.regularizer.options(), **self.strength()}
            regularizer = {"component": self.regularizer.component, "options": options}
        game = {
            "loss": {"component": self.loss.component, "options": self.loss.options()},
            "regularizer": regularizer,
            "update": self.update,
            "steps": STEPS,
            "rates": RATES,
            "momentum": self.momentum,
            "nodes": nodes(LEVELS, "normal").tolist(),
        }
        return {"game": game, "points": POINTS, "iterations": ITERATIONS}

    def play(self) -> Play:
        parts = dict(_base().components)
        parts["loss"] = _component("loss", self.loss, {})
        parts.pop("reg.r1")
        if self.regularizer is not None:
            one = _component(f"reg.{self.regularizer.component}", self.regularizer, self.strength())
            parts[one.key] = one
        options = {**parts["game"].options, "update": self.update, "discriminator_steps": STEPS}
        parts["game"] = replace(parts["game"], options=options, arguments=options)
        for key, lr, momentum in zip(("discriminator", "generator"), RATES, self.momentum, strict=True):
            part = parts[f"optimizer.{key}"]
            options = {**part.options, "lr": lr, "momentum": momentum}
            parts[f"optimizer.{key}"] = replace(part, options=options, arguments=options)
        return building.build(building.problem(offers.PROBLEM), replace(_base(), components=parts))


@cache
def _base() -> Config:
    """A configuration whose parts are replaced: to compose each takes long."""
    return building.configuration(["loss=minimax", "reg=r1"])


@cache
def _refusals() -> dict[str, dict[str, str]]:
    return offers.refusals()


def _component(key: str, offer: Offer, more: dict[str, float]) -> Component:
    options = {**offer.options(), **more}
    return Component(offer.kind, key, offer.component, options, options, registry.load(offer.kind, offer.component))


def _offer(component: str) -> Offer:
    return next(offer for offer in offers.REGULARIZERS if offer.component == component)


def _all() -> Iterator[Case]:
    for loss, regularizer in itertools.product(offers.LOSSES, [None, *offers.REGULARIZERS]):
        for update in offers.UPDATES:
            case = Case(loss, regularizer, update)
            if not case.refused:
                yield case


def _some() -> list[Case]:
    """Each loss with two regularizers, each regularizer with some losses, each rule many times."""
    regularizers = itertools.cycle([None, *offers.REGULARIZERS])
    updates = itertools.cycle(offers.UPDATES)
    cases = [Case(loss, next(regularizers), next(updates)) for _ in range(2) for loss in offers.LOSSES]
    noisy = _offer("instance_noise")
    coupled = [loss for loss in offers.LOSSES if loss.component.startswith(("relativistic", "gan_qp"))]
    cases += [Case(loss, noisy, "alternating") for loss in coupled]
    return [case for case in cases if not case.refused]


def _agree(cases: list[Case], folder: Path, points: int) -> None:
    found = javascript.evaluate(page.MATHEMATICS, RUN, [case.plain() for case in cases], folder)
    for case, one in zip(cases, found, strict=True):
        about = f"{case.loss.name}, {case.regularizer and case.regularizer.name}, {case.update}"
        play = case.play()
        for point, v, path in list(zip(POINTS, one["field"], one["paths"], strict=True))[:points]:
            _same(v, _field(play, point), f"field of {about} at {point}")
            expected = _path(play, point)
            assert len(path) == len(expected), about
            near = [k for k, w in enumerate(expected) if w.abs().max() < 1e3]  # where it explodes, rounding does too
            _same([path[k] for k in near], expected[near], f"trajectory of {about} from {point}")


def _field(play: Play, point: list[float]) -> torch.Tensor:
    play.begin(torch.tensor(point, dtype=torch.float64))
    return torch.stack([play.gradient(turn) for turn in {slot.turn for slot in play.slots()}]).sum(0)


def _path(play: Play, point: list[float]) -> torch.Tensor:
    play.begin(torch.tensor(point, dtype=torch.float64))
    found = [play.weights]
    for _ in range(ITERATIONS):
        play.iterate()
        found.append(play.weights)
        if not play.weights.abs().max() < 1e9:  # so far the page goes on
            break
    return torch.stack(found)


def _ordered(values: list[list[float]]) -> list[list[float]]:
    return sorted(values, key=lambda x: (round(x[0], 5), round(x[1], 5)))


def _same(found: Any, expected: Any, what: str) -> None:
    found, expected = torch.as_tensor(found, dtype=torch.float64), torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=CLOSE, atol=CLOSE, msg=lambda text: f"{what}: {text}")


def test_the_page_computes_what_ganlab_computes(tmp_path: Path) -> None:
    _agree(_some(), tmp_path, points=1)


@pytest.mark.slow
def test_the_page_computes_what_ganlab_computes_for_all_that_it_offers(tmp_path: Path) -> None:
    _agree(list(_all()), tmp_path, points=len(POINTS))


SMOOTH = {
    "r1": Case(offers.LOSSES[0], _offer("r1"), "alternating"),
    "consensus": Case(offers.LOSSES[1], _offer("consensus"), "optimistic"),
    "instance_noise": Case(offers.LOSSES[6], _offer("instance_noise"), "extragradient"),
    "locally_stable, no momentum": Case(offers.LOSSES[3], _offer("locally_stable"), "simultaneous", (0.0, 0.0)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_eigenvalues_of_the_page_are_those_of_ganlab(name: str, tmp_path: Path) -> None:
    case = SMOOTH[name]
    (found,) = javascript.evaluate(page.MATHEMATICS, RUN, [case.plain()], tmp_path)
    field = Field(case.play())
    rates = maps.rates(field)
    assert rates is not None
    flow = torch.linalg.eigvals(maps.flow(field, rates))
    _same(_ordered(found["flow"]), _ordered(torch.view_as_real(flow).tolist()), "flow")
    values = torch.view_as_real(torch.linalg.eigvals(maps.iteration(field, rates)[0])).tolist()
    known = sorted(values, key=lambda x: -abs(complex(*x)))[: len(found["map"])]  # the others are 0
    _same(_ordered(found["map"]), _ordered(known), "map")


ROLL = """({numbers, momenta}) => {
  const pits = Pits(numbers);
  return momenta.map((momentum) => {
    let last = null;
    for (const places of pits.roll(momentum)) last = places;
    return { last, left: pits.left(last) };
  });
}"""


def test_samples_roll_in_the_browser_as_in_ganlab(tmp_path: Path) -> None:
    data = {"numbers": page.numbers()["pits"], "momenta": pits.MOMENTA}
    for one, found in zip(pits.roll(), javascript.evaluate(page.MATHEMATICS, ROLL, data, tmp_path), strict=True):
        assert found["left"] == one.left
        torch.testing.assert_close(torch.tensor(found["last"], dtype=torch.float64), one.paths[-1], rtol=0, atol=CLOSE)
