"""The tour of the page: ten stops that tell what two articles on the dynamics of GANs say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).with_name("assets") / "tour.yaml"


@dataclass(frozen=True)
class Setting:
    """A choice of all that the page lets choose.

    Args:
        loss, regularizer: Names of `ganlab.dynamics.offers`; an empty regularizer is none.
        strength: Of the regularizer.
        update: The update rule.
        steps: Of the discriminator an iteration.
        rates: Step sizes of the discriminator and the generator.
        momentum: Of both.
        start: (θ, ψ).
        iterations: That are drawn.
    """

    loss: str
    regularizer: str = ""
    strength: float = 0.0
    update: str = "alternating"
    steps: int = 1
    rates: tuple[float, float] = (0.2, 0.2)
    momentum: tuple[float, float] = (0.0, 0.0)
    start: tuple[float, float] = (1.2, 0.6)
    iterations: int = 300


@dataclass(frozen=True)
class Try:
    """A change that a stop proposes.

    Args:
        label: On its button.
        setting: What it chooses.
        verdict: What comes out, which a test compares with ganlab.
    """

    label: str
    setting: Setting
    verdict: str


@dataclass(frozen=True)
class Stop:
    """A stop of the tour.

    Args:
        title: Its heading.
        text: Paragraphs.
        look: What to look at.
        tries: The first one is what the stop begins with.
        source: Papers.
    """

    title: str
    text: Sequence[str]
    look: str
    tries: Sequence[Try]
    source: str


def _stop(node: dict[str, Any]) -> Stop:
    tries = [Try(one["label"], Setting(**one["setting"]), one["verdict"]) for one in node["tries"]]
    return Stop(**{**node, "tries": tries})


STOPS = tuple(map(_stop, yaml.safe_load(_FILE.read_text(encoding="utf-8"))))
"""The stops, in order."""


def plain() -> list[dict[str, Any]]:
    """Return the stops as the page reads them."""
    return [asdict(stop) for stop in STOPS]
