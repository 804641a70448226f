"""Figures of a search for a paper: the best so far, importance, and parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ganlab.comparisons.answer import Study, Trial
from ganlab.reports.numbers import number

_GREY = "#8a8a86"


def drawings(study: Study, printable: Callable[[str], str]) -> dict[str, Callable[[Any], None]]:
    """Return what draws each figure of a search, by its name.

    Args:
        printable: Returns a text without signs that have no letter.
    """
    found: dict[str, Callable[[Any], None]] = {"best so far": partial(_best, study=study, printable=printable)}
    if study.importance:
        found["importance"] = partial(_importance, study=study, printable=printable)
    if sum(trial.objective is not None for trial in study.trials) > 1:
        found["trials"] = partial(_trials, study=study, printable=printable)
    return found


def _best(figure: Any, study: Study, printable: Callable[[str], str]) -> None:
    axes = figure.add_subplot()
    places = range(len(study.trials))
    axes.plot(places, [_or_gap(t.objective) for t in study.trials], "o", markersize=3.5, markerfacecolor="none",
              color=_GREY, label="each trial")  # fmt: skip
    axes.step(
        places, [_or_gap(best) for best in study.best], where="post", color="black", linewidth=1.2, label="best so far"
    )
    axes.set_xlabel("trial")
    axes.set_ylabel(printable(study.objective))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(color="#e5e5e5", linewidth=0.5)
    figure.legend(loc="outside upper left", ncols=2)


def _importance(figure: Any, study: Study, printable: Callable[[str], str]) -> None:
    shares = sorted(study.importance.items(), key=lambda item: item[1])
    figure.set_figheight(0.55 + 0.24 * len(shares))
    axes = figure.add_subplot()
    axes.barh([printable(key) for key, _ in shares], [100 * share for _, share in shares], height=0.6, color=_GREY)
    axes.tick_params(left=False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel(printable(f"importance for {study.objective} (%)"))


def _trials(figure: Any, study: Study, printable: Callable[[str], str]) -> None:
    """Draw a line for each trial over the options, the darker the better, the best one on top."""
    ranked = sorted((trial for trial in study.trials if trial.objective is not None), key=lambda trial: -trial.loss)
    names = [*study.keys, study.objective]
    scales = [_Scale([_value(trial, name, study) for trial in ranked], name in study.logarithmic) for name in names]
    longest = max(len(part) for name in names for part in name.rsplit(".", 1))
    figure.set_figwidth(len(names) * max(0.8, 0.062 * longest))
    axes = figure.add_subplot()
    for rank, trial in enumerate(ranked):
        known = [(at, _value(trial, name, study)) for at, name in enumerate(names)]
        points = [(at, scales[at].share(value)) for at, value in known if value is not None]
        shade = 0.85 * (1 - (rank + 1) / len(ranked))
        is_best = rank == len(ranked) - 1
        axes.plot(*zip(*points, strict=True), color=str(shade), linewidth=1.6 if is_best else 0.8)
    for at, scale in enumerate(scales):
        axes.axvline(at, color=_GREY, linewidth=0.6, zorder=0)
        for share, label in scale.ticks():
            axes.annotate(
                printable(label), (at, share), xytext=(2, 0), textcoords="offset points", va="center", fontsize=6,
                bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            )  # fmt: skip
    axes.set_xticks(range(len(names)), ["\n".join(printable(name).rsplit(".", 1)) for name in names])
    axes.xaxis.tick_top()
    axes.tick_params(left=False, labelleft=False, top=False, labelsize=7)
    axes.set_xlim(-0.1, len(names) - 0.5)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _value(trial: Trial, name: str, study: Study) -> str | float | None:
    return trial.values.get(name) if name in study.keys else trial.objective


class _Scale:
    """An axis of parallel coordinates: numbers by their size or its logarithm, words in their order.

    Args:
        values: Of the trials; None: a trial has none.
        logarithmic: For numbers.
    """

    def __init__(self, values: Sequence[str | float | None], logarithmic: bool) -> None:
        self._known = [value for value in values if value is not None]
        self._words: Mapping[str, int] = {}
        try:
            numbers = [float(value) for value in self._known]
        except ValueError:
            self._words = {word: place for place, word in enumerate(sorted(set(map(str, self._known))))}
            numbers = list(map(float, self._words.values()))
        self._low, self._high = min(numbers, default=0.0), max(numbers, default=0.0)
        self._logarithmic = logarithmic and self._low > 0

    def share(self, value: str | float) -> float:
        """Return the place of a value, from 0 to 1."""
        at = float(self._words[str(value)]) if self._words else float(value)
        low, high = self._low, self._high
        if self._logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """Return places and texts of some values."""
        if self._words:
            return [(self.share(word), word) for word in self._words]
        low, high = self._low, self._high
        if not high > low:
            return [(0.5, number(low))]
        shares = (0, 0.5, 1)
        values = [low * (high / low) ** s if self._logarithmic else low + (high - low) * s for s in shares]
        return [(share, f"{value:.3g}") for share, value in zip(shares, values, strict=True)]


def _or_gap(value: float | None) -> float:
    return math.nan if value is None else value
