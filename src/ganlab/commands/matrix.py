"""``ganlab list matrix``: the combinations of losses, regularizers and games, from their declarations.

`ganlab.assembly.experiment` uses the same `ganlab.contracts.compatibility.refusals` before it builds a run.
"""

from __future__ import annotations

import string
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ganlab.assembly import run_networks
from ganlab.config import catalog, component, compose, option_table, schema
from ganlab.contracts import compatibility
from ganlab.core import kinds, registry, terminal
from ganlab.core.errors import GanlabError

ADDED = kinds.at("hooks")
PLAYS, PART = "+", "="
WIDTH = terminal.columns(most=100)


@dataclass(frozen=True)
class Cell:
    """One combination.

    Args:
        game: Its name.
        loss: Its name, or None for a game without.
        added: A regularizer as it is typed, ``reg=sn``, or None for none.
        reasons: Sentences about why it is refused; empty: it works.
        brought: It is refused because the loss is a preset that has ``added`` itself.
    """

    game: str
    loss: str | None
    added: str | None
    reasons: tuple[str, ...]
    brought: bool = False


Bundle = Mapping[str, Any]  # the parts of a preset, as they are typed


def components(kinds: Iterable[str]) -> dict[str, Any]:
    """All components of these kinds with their default options, as they are typed; or why one cannot be made."""
    found: dict[str, Any] = {}
    for kind in kinds:
        for name in registry.names(kind):
            typed = f"{kind}={name}"
            try:
                found[typed] = component.read(kind, kind, option_table.node(kind, name))[0].make()
            except (GanlabError, TypeError) as error:
                found[typed] = str(error)
    return found


def presets(names: Iterable[str] | None = None) -> dict[str, Bundle | str]:
    """Losses that are presets, as they are typed: the loss and the regularizers of each, or why it cannot be made.

    Args:
        names: Only these; None: all.
    """
    found: dict[str, Bundle | str] = {}
    for choice in catalog.choices("loss"):
        if choice.preset is None or (names is not None and choice.name not in names):
            continue
        typed = f"loss={choice.name}"
        try:
            config = compose.read([typed])
            parts = [config["loss"], *config.regularizers.values()]
            found[typed] = {part.typed: part.make() for part in parts}
        except GanlabError as error:
            found[typed] = str(error)
    return found


def cells(
    game: str, networks: Mapping[str, Any], losses: Mapping[str, Any], added: Mapping[str, Any]
) -> Iterator[Cell]:
    """Every combination of one game.

    Args:
        game: Its name.
        networks: Its networks as they are typed, ``discriminator=sngan`` and so on.
        losses: As `components` and `presets` give them.
        added: Regularizers, as `components` gives them.
    """
    takes = registry.load("game", game)
    conditions = {**networks, f"game={game}": takes}
    for loss in losses if "loss" in schema.takes(takes) else [None]:
        name = None if loss is None else loss.partition("=")[2]
        bundle = {} if loss is None else losses[loss]
        brought = bundle if isinstance(bundle, Mapping) else {loss: bundle}
        with_loss = {**conditions, **brought}
        common = _reasons(with_loss)
        yield Cell(game, name, None, common)
        for typed, part in added.items():
            if typed in brought:
                kind, _, regularizer = typed.partition("=")
                twice = compose.named_twice(kind, regularizer, loss)
                yield Cell(game, name, typed, common or (twice,), brought=not common)
            else:
                yield Cell(game, name, typed, common or _reasons({**with_loss, typed: part}))


def _reasons(parts: Mapping[str, Any]) -> tuple[str, ...]:
    broken = tuple(part for part in parts.values() if isinstance(part, str))
    return broken or tuple(compatibility.refusals(parts))


def networks(overrides: Sequence[str], game: str) -> dict[str, Any]:
    """The networks of a command line for ``game``, without weights."""
    config = compose.read([*overrides, f"game={game}"])
    with torch.device("meta"):
        built = run_networks.opened(config)
    return {config[kind].typed: network for kind, network in built.items()}


def report(overrides: Sequence[str], chosen: Mapping[str, Sequence[str]]) -> str:
    """The page: a grid for each game.

    Args:
        overrides: Words of `ganlab train`, such as ``model=dcgan``.
        chosen: Kind -> names; only they are shown.
    """
    losses = _chosen({**components(["loss"]), **presets(chosen.get("loss"))}, chosen)
    added = _chosen(components(ADDED), chosen)
    compose.read(overrides)  # what is wrong with them is said once, not for each game
    pages = []
    for game in chosen.get("game") or registry.names("game"):
        try:
            playing = networks(overrides, game)
        except GanlabError as error:
            pages.append("\n".join(_wrapped(f"game={game}    ", str(error))))
            continue
        found = list(cells(game, playing, losses, added))
        pages.append("\n".join(_page(game, playing, found)))
    return "\n\n".join(pages)


def _chosen(parts: dict[str, Any], chosen: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    def shown(typed: str) -> bool:
        kind, _, name = typed.partition("=")
        if kind in ADDED and any(chosen.get(other) for other in ADDED):
            return name in chosen.get(kind, ())
        return not chosen.get(kind) or name in chosen[kind]

    return {typed: part for typed, part in parts.items() if shown(typed)}


def _page(game: str, playing: Iterable[str], found: Sequence[Cell]) -> Iterator[str]:
    """A game's grid: losses are columns, regularizers rows; those alike in all cells share one line."""
    yield f"game={game}    ({', '.join(playing)})"
    columns = list(dict.fromkeys(cell.loss for cell in found))
    reasons = {(cell.loss, cell.added): cell.reasons for cell in found}
    brought = {(cell.loss, cell.added) for cell in found if cell.brought}
    rows = [row for row in dict.fromkeys(cell.added for cell in found) if row is not None]
    refused = [loss for loss in columns if reasons[loss, None]]
    for loss in refused:
        yield from _wrapped(f"  not with loss={loss}: " if loss else "  not at all: ", " ".join(reasons[loss, None]))
    columns = [loss for loss in columns if loss not in refused]
    if not columns:
        return
    named = [loss for loss in columns if loss is not None]
    losses = {loss: string.digits[1:][i] if i < 9 else string.ascii_uppercase[i - 9] for i, loss in enumerate(named)}
    yield from _wrapped("  losses: ", ", ".join(f"{key}:{loss}" for loss, key in losses.items()) or "plays without")
    letters: dict[str, str] = {}
    alike, grid = [], []
    for row in rows:
        marks = [PART if (loss, row) in brought else _mark(row, reasons[loss, row], letters) for loss in columns]
        if set(marks) == {PLAYS}:
            alike.append(row.partition("=")[2])
        else:
            grid.append((row, marks))
    if alike:
        yield from _wrapped(f"  {PLAYS} everywhere: ", ", ".join(alike))
    if grid:
        wide = max(len(row) for row, _ in grid)
        if named:
            yield "  " + " " * wide + "  " + " ".join(losses.values())
        for row, marks in grid:
            yield f"  {row:<{wide}}  {' '.join(marks)}".rstrip()
        if any(PART in marks for _, marks in grid):
            yield f"  {PART}  is part of that loss already"
        for reason, mark in letters.items():
            yield from _wrapped(f"  {mark}  ", reason)


def _mark(row: str, reasons: Sequence[str], letters: dict[str, str]) -> str:
    """Return ``+``, or the letter of a reason; equal reasons share one."""
    if not reasons:
        return PLAYS
    reason = " ".join(sentence.removeprefix(f"{row} ") for sentence in reasons)
    alphabet = string.ascii_letters
    return letters.setdefault(reason, alphabet[min(len(letters), len(alphabet) - 1)])


def _wrapped(start: str, text: str) -> list[str]:
    indent = " " * min(len(start), 12)
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False)
