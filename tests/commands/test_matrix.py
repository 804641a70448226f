"""The matrix of what goes together is true: what it says works plays an iteration, what it refuses is refused."""

from __future__ import annotations

import copy
import re
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from support.engine import Engine, images
from support.host_reads import NoHostReads
from support.recorded import differences, trained
from torch import Tensor, nn

from ganlab import cli
from ganlab.assembly import experiment
from ganlab.commands import matrix
from ganlab.commands.matrix import Cell
from ganlab.config import compose, schema
from ganlab.contracts.setting import Setting
from ganlab.core import registry
from ganlab.core.errors import GanlabError
from ganlab.engine import record_check
from ganlab.models import autoencoder, mlp
from ganlab.testing.tape import Tape
from ganlab.testing.toys import ToyDiscriminator

BATCH, LATENTS, SHAPE = 4, 4, (1, 8, 8)
MAKES_CONSTANTS = ("augment=ada",)  # on the device, in its first turn


class WithDropout(ToyDiscriminator):
    """Everything that a discriminator may be asked for: features, a head, dropout."""

    def __init__(self) -> None:
        super().__init__(SHAPE)
        self.dropout = nn.Dropout(0.3)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.dropout(super().features(x, y))


@cache
def networks(game: str) -> dict[str, nn.Module]:
    """As tiny as can be, by role."""
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {
        "generator": mlp.Generator(8, 1, latent_dim=LATENTS, width=6, depth=1),
        "discriminator": WithDropout(),
        "encoder": mlp.Encoder(8, 1, LATENTS, width=6, depth=1),
        "statistics": mlp.Statistics(8, 1, LATENTS, width=6, depth=1),
    }
    component = registry.load("game", game)
    if "energy" in component.needs:
        made["discriminator"] = autoencoder.Discriminator(8, 1, width=2, code_dim=2)
    return {role: network for role, network in made.items() if role in schema.takes(component)}


presets = cache(matrix.presets)


@cache
def cells() -> list[Cell]:
    losses, added = matrix.components(["loss"]), matrix.components(matrix.ADDED)
    found: list[Cell] = []
    for game in registry.names("game"):
        playing = {f"{role}=tiny": network for role, network in networks(game).items()}
        found += matrix.cells(game, playing, losses, added)
    return found


def covering(found: list[Cell]) -> list[Cell]:
    """Cells that hold every pair of a game, a loss and a regularizer that any working cell holds.

    In an order that has nothing to do with names, so that pairs of losses and regularizers meet in all games.
    """
    seen: set[tuple[Any, Any]] = set()
    chosen = []
    for cell in sorted(found, key=lambda c: zlib.crc32(repr(c).encode())):
        pairs = {
            (("game", cell.game), ("loss", cell.loss)),
            (("game", cell.game), ("added", cell.added)),
            (("loss", cell.loss), ("added", cell.added)),
        }
        if not pairs <= seen:
            seen |= pairs
            chosen.append(cell)
    return chosen


def engine_of(cell: Cell, losses: dict[str, Any], added: dict[str, Any], rate: float = 1e-6) -> Engine:
    torch.manual_seed(1)
    given: dict[str, Any] = copy.deepcopy(networks(cell.game))
    chosen = {cell.added: added[cell.added]} if cell.added else {}
    if cell.loss is not None:
        loss = losses[f"loss={cell.loss}"]
        parts = loss if isinstance(loss, dict) else {"loss": loss}
        for typed, part in parts.items():
            if typed.startswith("loss"):
                given["loss"] = part
            else:
                chosen[typed] = part
    game = registry.load("game", cell.game)(**given)
    regularizers = {typed.partition("=")[2]: copy.deepcopy(part) for typed, part in chosen.items()}
    setting = Setting(registry.load("prior", "normal")(), LATENTS)
    return Engine(game, regularizers, rate=rate, setting=setting, batch_size=BATCH)


def play(cell: Cell, losses: dict[str, Any], added: dict[str, Any]) -> None:
    engine = engine_of(cell, losses, added)
    engine.module.make_recordable()
    if cell.added in MAKES_CONSTANTS:
        engine.play(images(BATCH * 8, 0, SHAPE))
    evaluate = engine.module.evaluate
    engine.module.evaluate = lambda *turn: without_host_reads(evaluate, *turn)  # type: ignore[method-assign]
    engine.play(images(BATCH * 8, 0, SHAPE))
    assert {player for player, _ in engine.gradients} == set(engine.game.players)
    for player, gradient in engine.gradients:
        assert gradient.isfinite().all(), f"{player}'s gradient is not finite"
        assert gradient.norm() > 0, f"{player} gets no gradient"
    assert engine.weights().isfinite().all()


def without_host_reads(evaluate: Callable[..., None], *turn: Any) -> None:
    with NoHostReads():
        evaluate(*turn)


def test_every_pair_of_every_working_cell_plays_an_iteration() -> None:
    losses, added = matrix.components(["loss"]), matrix.components(matrix.ADDED)
    working = [cell for cell in cells() if not cell.reasons]
    chosen = covering(working)
    assert {c.game for c in chosen} == {*registry.names("game")}
    assert {c.loss for c in chosen} == {*registry.names("loss"), None}
    assert {c.added for c in chosen} == {*added, None}, "what plays nowhere at all"
    problems = {}
    for cell in chosen:
        try:
            play(cell, losses, added)
        except Exception as error:  # report all of them, not only the first
            problems[f"{cell.game}, {cell.loss}, {cell.added}"] = f"{type(error).__name__}: {error}"
    assert problems == {}
    assert len(chosen) < len(working)


@pytest.mark.slow
def test_every_pair_of_every_working_cell_is_recorded_or_says_why_not() -> None:
    """Replays make the same weights bit by bit: a turn reads nothing, draws alike and changes nothing in Python."""
    losses, added = matrix.components(["loss"]), matrix.components(matrix.ADDED)
    problems = {}
    for cell in covering([cell for cell in cells() if not cell.reasons]):
        tape, played, recorded = Tape(), *(engine_of(cell, losses, added, rate=1e-3) for _ in range(2))
        if list(record_check.refusals(recorded.module)):
            continue
        recorded.module.record(tape)
        played.module.make_recordable()
        for engine in (recorded, played):
            engine.play(images(BATCH * 8, 0, SHAPE), 4)
        others = differences(trained(recorded.module), trained(played.module))
        if tape.failures or others or not tape.replayed:
            problems[f"{cell.game}, {cell.loss}, {cell.added}"] = [*tape.failures, *others[:3], tape.replayed]
    assert problems == {}


def test_every_loss_that_is_a_preset_plays_an_iteration_of_each_game_that_it_goes_with() -> None:
    losses, played = presets(), set()
    assert {"loss=wgan_gp", "loss=wgan_div", "loss=r1", "loss=ct_gan"} <= {*losses}
    for game in registry.names("game"):
        playing = {f"{role}=tiny": network for role, network in networks(game).items()}
        for cell in matrix.cells(game, playing, losses, {}):
            if cell.loss is not None and not cell.reasons:
                play(cell, losses, {})
                played.add((game, cell.loss))
    assert {("standard", loss.partition("=")[2]) for loss in losses} <= played
    assert ("ebgan", "ct_gan") not in played  # an auto-encoder has no features


@pytest.mark.parametrize("game", registry.names("game"))
def test_what_the_matrix_refuses_is_refused_with_the_same_words(game: str) -> None:
    """A few of the cells that are refused with the default networks, each for another reason."""
    playing = matrix.networks([], game)
    losses = {**matrix.components(["loss"]), **presets()}
    found = list(matrix.cells(game, playing, losses, matrix.components(matrix.ADDED)))
    refused: dict[Any, Cell] = {}
    alone = {cell.loss for cell in found if cell.reasons and cell.added is None}
    for cell in found:
        if cell.reasons and (cell.added is None or cell.loss not in alone):
            refused.setdefault(cell.reasons, cell)
    chosen = sorted(refused.values(), key=lambda c: zlib.crc32(repr(c).encode()))
    for cell in [*[c for c in chosen if not c.brought][:2], *[c for c in chosen if c.brought][:1]]:
        words = [f"game={game}", *([f"loss={cell.loss}"] if cell.loss else []), *([cell.added] if cell.added else [])]
        with pytest.raises(GanlabError) as caught:
            experiment.build(compose.read(words))
        assert str(caught.value) == " ".join(cell.reasons)


def test_the_page_is_at_most_100_columns_wide_and_shows_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.dispatch(["list", "matrix", "game=[ebgan,meg]", "loss=[hinge,wgan_clip]", "reg=[vib,r1]"]) == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 100
    games = page.split("\n\n")
    assert [text.split()[0] for text in games] == ["game=ebgan", "game=meg"]
    assert "+ everywhere: r1, vib" in games[1]
    assert "+ everywhere: r1\n" in games[0]
    assert "reg=vib  a a" in games[0]
    assert "a  needs a discriminator with features(x, y) and head(features, y), which this run lacks" in games[0]


def test_a_preset_is_a_column_and_what_it_brings_is_not_added_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.dispatch(["list", "matrix", "game=standard", "loss=[wgan_gp,hinge]", "reg=[gradient_penalty,sn]"]) == 0
    page = capsys.readouterr().out.splitlines()
    assert page[1:] == [
        "  losses: 1:hinge, 2:wgan_gp",
        "  + everywhere: sn",
        "                        1 2",
        "  reg=gradient_penalty  + =",
        "  =  is part of that loss already",
    ]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("loss", "takes options only"),
        ("game=ebgam", "No game is called 'ebgam'. Did you mean 'ebgan' or 'bigan'?"),
        ("loss=wgan_pg", "No loss is called 'wgan_pg'. Did you mean 'wgan_gp'"),
        ("modle=dcgan", "'modle' is no option"),
    ],
)
def test_a_word_that_cannot_be_listed_is_refused(word: str, sentence: str) -> None:
    with pytest.raises(GanlabError, match=re.escape(sentence)):
        cli.dispatch(["list", "matrix", word])
