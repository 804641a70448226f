"""Addresses: where a regularizer acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ganlab.contracts.turn import MAIN, Turn
from ganlab.core.checks import at_least, share


@dataclass(frozen=True)
class Address:
    """The place at which a regularizer acts: a player's objective, the turns, and the interval.

    Args:
        player: A network, such as ``discriminator``, for the player who trains it; or the name of a player.
        turn: ``main``: the turns that the game gives the player. Another name: a turn of the regularizer's own, which
            is added to the game. None: all turns of the player.
        interval_steps: Iterations from one turn of its own to the next. Its terms are multiplied by this, so that their
            expected gradient is that of a term in every iteration (lazy regularization, StyleGAN2, arXiv:1912.04958,
            appendix B; the engine corrects Adam's rates for the additional steps).
        batch: Batch of a turn of its own, as a share of ``data.batch_size``, in (0, 1].
        reals: Real images of a turn of its own, as in `Turn`.

    Raises:
        ValueError: If a number is out of range.
    """

    player: str
    turn: str | None = MAIN
    interval_steps: int = 1
    batch: float = 1.0
    reals: Literal["fresh", "same"] | None = "same"

    def __post_init__(self) -> None:
        at_least("interval_steps", self.interval_steps, 1)
        share("batch", self.batch, zero=False)
        if self.interval_steps > 1 and not self.adds_turn:
            raise ValueError("interval_steps above 1 needs a turn of its own: name one in the address")

    @property
    def adds_turn(self) -> bool:
        """Tell if the address is a turn of the regularizer's own."""
        return self.turn not in (MAIN, None)

    def own_turn(self, player: str) -> Turn:
        """Return the turn that is added to the game."""
        return Turn((player,), every=self.interval_steps, batch=self.batch, reals=self.reals, name=str(self.turn))


@dataclass(frozen=True)
class Addressed:
    """A hook of a regularizer with its address in a game.

    Args:
        player: The player, by the game's name.
        address: The address.
        call: The hook; its first argument is the player.
    """

    player: str
    address: Address
    call: Callable[..., Any]

    def acts_in(self, turn: Turn) -> bool:
        """Tell if the hook is called in a turn."""
        return self.player in turn.players and self.address.turn in (turn.name, None)
