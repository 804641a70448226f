"""Games: players, turns, update rule and objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor, nn

from ganlab.contracts.growth import Growth, Stage, grow_to
from ganlab.contracts.points import Points
from ganlab.contracts.turn import Objectives, Player, Turn
from ganlab.contracts.view import View

UPDATES = ("alternating", "simultaneous", "extragradient", "optimistic")


class Game(nn.Module):
    """A game: its players, their turns, the update rule, and the objective of each player.

    A subclass registers its networks as attributes and calls `add_modules` for each player. Parameters of
    its constructor that are named for a kind of component (``generator``, ``discriminator``,
    ``loss``) are given by the experiment; the others are its options.

    Attributes:
        provides, needs, refuses: The conditions on other components, see `ganlab.contracts.compatibility`.
        update: One of ``alternating`` (turn after turn), ``simultaneous`` (all turns of an
            iteration evaluated, then all step), ``extragradient``, ``optimistic``. With all but the first
            the repetitions of a turn are evaluated at one point, and their mean is taken: one larger batch.
        players: The players, by name.
        averaged: Names of the modules of which an exponential moving average is kept.
        growth: The schedule by which networks grow, or None.
        input_gradients: As a regularizer's, if `objective` itself takes input gradients.
        companions: Role -> name of the component that a run takes there by default, for
            roles that the defaults of ``ganlab train`` leave empty or fill with what does not fit.
        one_pass: `View.scores` makes one pass of the discriminator over reals and fakes.
        fake_labels: ``drawn`` with the data's class shares, ``uniform``, or ``reals``: those of the turn's real
            images where it has any.
        encodes: Path of the encoder among the averaged modules, if the game has one: a module that
            returns (mean, log-variance) of the codes of images, see `ganlab.layers.gaussian`.
        unrecordable, host_options: As a regularizer's.
    """

    averaged: ClassVar[tuple[str, ...]] = ("generator",)
    input_gradients: tuple[str, ...] = ()
    companions: ClassVar[Mapping[str, str]] = {}
    encodes: ClassVar[str | None] = None
    one_pass: bool = False
    fake_labels: str = "drawn"
    provides: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    refuses: Mapping[str, str] = {}
    unrecordable: str = ""
    host_options: tuple[str, ...] = ()

    def __init__(self, update: str = "alternating") -> None:
        super().__init__()
        if update not in UPDATES:
            raise ValueError(f"update must be one of {', '.join(UPDATES)}, got {update!r}.")
        self.update = update
        self.players: dict[str, Player] = {}
        self.growth: Growth | None = None
        self._added_turns: list[Turn] = []
        self._shown_reals: set[str] = set()

    def add_modules(self, player: str, **modules: nn.Module) -> None:
        """Add modules to a player, who is created by the first call."""
        self.players.setdefault(player, Player({})).modules.update(modules)

    def owner(self, name: str) -> str:
        """Return the player who trains the network ``name``, or else the player of that name.

        Raises:
            ValueError: If there is neither.
        """
        for player, members in self.players.items():
            if name in members.modules:
                return player
        if name in self.players:
            return name
        known = [module for members in self.players.values() for module in members.modules]
        a = "an" if name[0] in "aeiou" else "a"
        raise ValueError(f"it needs {a} {name}, but this game has only {', '.join(known)}.")

    def add_turn(self, turn: Turn) -> None:
        """Append a regularizer's turn to each iteration; the game's own objective is not part of it."""
        self._added_turns.append(turn)
        for player in turn.players:
            self.players[player].lazy_steps += turn.repeat / turn.every

    def show_reals(self, player: str) -> None:
        """Give those of the player's turns that have no real images the ones that the turn before had."""
        self._shown_reals.add(player)

    def turns(self) -> Sequence[Turn]:
        """Return the game's own turns of one iteration, in order."""
        raise NotImplementedError

    def all_turns(self) -> list[Turn]:
        """Return the game's own turns and those that regularizers added."""
        turns = [*self.turns(), *self._added_turns]
        if not self._shown_reals:
            return turns
        return [
            replace(t, reals="same") if t.reals is None and not self._shown_reals.isdisjoint(t.players) else t
            for t in turns
        ]

    def owns(self, turn: Turn) -> bool:
        """Tell the game's own turns from those that regularizers added."""
        return turn.name not in (added.name for added in self._added_turns)

    def objective(self, turn: Turn, view: View) -> Objectives:
        """Return the objectives of the players of one of the game's own turns, without regularizers."""
        raise NotImplementedError

    def complete(self, points: Points, view: View) -> Points:
        """Add to reals or fakes what the discriminator sees in addition to the image: codes, in BiGAN."""
        return points

    def judged(self, output: Any, points: Points | None = None) -> Tensor:
        """Return the logits (B, ...) of what the discriminator gave.

        Args:
            points: Those that it judged; None: nothing may be kept of the pass.
        """
        logits: Tensor = output
        return logits

    def per_image(self, logits: Tensor) -> Tensor:
        """Return one logit an image, (B,): the mean where the discriminator gives several."""
        return logits if logits.ndim == 1 else logits.flatten(1).mean(1)

    def stage(self, images_seen: int) -> Stage | None:
        """Return the stage of growth, or None if the game does not grow."""
        return None if self.growth is None else self.growth.stage(images_seen)

    def set_stage(self, stage: Stage) -> None:
        """Set the networks to ``stage``; called when it changes."""
        for player in self.players.values():
            grow_to(player.modules.values(), stage)
