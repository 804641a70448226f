"""The losses, regularizers and rates that the page of the Dirac-GAN offers, described by the components themselves."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ganlab.config import docstrings, schema
from ganlab.contracts.game import UPDATES
from ganlab.core import registry
from ganlab.core.errors import GanlabError
from ganlab.dynamics import building
from ganlab.games.standard import Standard

PROBLEM = "dirac"
_FILE = Path(__file__).with_name("assets") / "offers.yaml"


@dataclass(frozen=True)
class Strength:
    """The option of a regularizer that has a slider.

    Args:
        option: Its name.
        most: The right end; the left end is 0, or a hundredth of that where 0 is not allowed.
        first: Where it begins.
        positive: 0 is not allowed.
    """

    option: str
    most: float
    first: float
    positive: bool = False


@dataclass(frozen=True)
class Offer:
    """A loss or a regularizer with some of its options fixed.

    Args:
        kind: ``loss`` or ``reg``.
        component: Its name.
        fixed: Options that are not the defaults.
        strength: Of a regularizer.
        note: A few words that tell it from others of the same component.
    """

    kind: str
    component: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    strength: Strength | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """The name on the page, which is unique in its kind."""
        return f"{self.component} {self.note}".strip()

    @property
    def words(self) -> list[str]:
        """The words that are typed for it, without the option that has a slider."""
        key = "loss" if self.kind == "loss" else f"reg.{self.component}"
        return [f"{self.kind}={self.component}", *(f"{key}.{name}={schema.spell(v)}" for name, v in self.fixed.items())]

    def options(self) -> dict[str, Any]:
        """Return all options, those that are not fixed with their defaults."""
        known = schema.options(registry.load(self.kind, self.component))
        return {**{name: option.default for name, option in known.items()}, **self.fixed}

    def make(self) -> Any:
        """Return the component."""
        return registry.load(self.kind, self.component)(**self.fixed)

    def plain(self) -> dict[str, Any]:
        """Return it as the page reads it: its docstring's summary and formula with it."""
        doc = inspect.cleandoc(registry.load(self.kind, self.component).__doc__ or "")
        found = {
            "name": self.name,
            "component": self.component,
            "words": self.words,
            "options": self.options(),
            "about": docstrings.summary(doc).replace("``", ""),
            "formula": _formula(doc),
        }
        if self.strength is not None:
            key, s = f"reg.{self.component}.{self.strength.option}", self.strength
            least = s.most / 100 if s.positive else 0.0
            found["strength"] = {"option": s.option, "key": key, "least": least, "most": s.most, "first": s.first}
        return found


def _formula(doc: str) -> str:
    """Return the first paragraph after the summary that has a formula of the players; empty if there is none."""
    paragraphs = docstrings.around(doc)[0].split("\n\n")[1:]
    found = next((" ".join(p.split()) for p in paragraphs if "D: " in p), "")
    return found.replace(" D: ", "\nD: ").replace(" G: ", "\nG: ").replace("``", "")


def _offer(kind: str, node: dict[str, Any]) -> Offer:
    strength = node.pop("strength", None)
    return Offer(kind, **node, strength=Strength(**strength) if strength else None)


_KNOWN = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
LOSSES = tuple(_offer("loss", node) for node in _KNOWN["losses"])
REGULARIZERS = tuple(_offer("reg", node) for node in _KNOWN["regularizers"])


def refusals() -> dict[str, dict[str, str]]:
    """Return the reason why a regularizer does not go with a loss, by regularizer and loss."""
    problem, found = building.problem(PROBLEM), {}
    for regularizer in REGULARIZERS:
        reasons = {}
        for loss in LOSSES:
            game = Standard(generator=problem.generator(), discriminator=problem.discriminator(), loss=loss.make())
            try:
                regularizer.make().attach(game)
            except GanlabError as error:
                reasons[loss.name] = str(error)
        if reasons:
            found[regularizer.name] = reasons
    return found


def plain() -> dict[str, Any]:
    """Return all that can be chosen, as the page reads it."""
    return {
        "losses": [offer.plain() for offer in LOSSES],
        "regularizers": [offer.plain() for offer in REGULARIZERS],
        "refusals": refusals(),
        "updates": list(UPDATES),
    }
