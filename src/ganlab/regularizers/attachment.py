"""Questions that regularizers ask a game when they are attached to it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ganlab.contracts.game import Game
from ganlab.core.errors import GanlabError, suggestion


def require_players(game: Game, players: Sequence[str], wanted_by: str) -> None:
    """Refuse players that the game does not have.

    Raises:
        GanlabError: If there is one.
    """
    for player in players:
        if player not in game.players:
            raise GanlabError(
                f"reg.{wanted_by}.players: this game has no player {player!r}.{suggestion(player, game.players)} "
                f"Its players: {', '.join(game.players)}."
            )
        if next(game.players[player].parameters(), None) is None:
            raise GanlabError(
                f"reg.{wanted_by}.players: the {player} has no weights that this game trains: leave it out."
            )


def networks(game: Game, player: str, wanted_by: str) -> list[nn.Module]:
    """Return the networks that ``player`` has from the game itself, not from other regularizers.

    So the order in which regularizers are named changes nothing.

    Raises:
        GanlabError: If the game has no such player.
    """
    require_players(game, [player], wanted_by)
    return [module for name, module in game.players[player].modules.items() if getattr(game, name, None) is module]


def show_reals(game: Game, player: str, wanted_by: str) -> None:
    """Let the player's turns see real images, one for each fake.

    Raises:
        GanlabError: If one of them makes another number of fakes than there are real images.
    """
    game.show_reals(player)
    for turn in game.turns():
        if turn.has(player) and turn.batch != 1:
            raise GanlabError(
                f"reg={wanted_by} compares the {player}'s fakes with as many real images, but its turn makes "
                f"{turn.batch:g} times the batch: set game.{player}_batch=1."
            )


def checked_players(players: Sequence[str]) -> tuple[str, ...]:
    """Return ``players`` as a tuple of different names.

    Raises:
        ValueError: If there is none, or one is named twice.
    """
    names = (players,) if isinstance(players, str) else tuple(players)
    if not names or len(set(names)) != len(names):
        raise ValueError(f"players must name at least one player, each once, got {list(names)}")
    return names
