"""What regularizers ask of a game when they are attached to it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ganlab.contract import Game
from ganlab.errors import GanlabError, suggestion


def owner(game: Game, network: str, wanted_by: str) -> str:
    """The player who trains the game's ``network``, such as ``discriminator``.

    Raises:
        GanlabError: If no player does; ``wanted_by`` names the regularizer in it.
    """
    for name, player in game.players.items():
        if network in player.modules:
            return name
    known = [module for player in game.players.values() for module in player.modules]
    raise GanlabError(f"reg={wanted_by} needs a {network}, but this game has only {', '.join(known)}.")


def networks(game: Game, player: str, wanted_by: str) -> list[nn.Module]:
    """The networks that ``player`` has from the game itself, not from other regularizers.

    What a regularizer does to them then does not depend on the order in which regularizers are named.

    Raises:
        GanlabError: If the game has no such player.
    """
    if player not in game.players:
        raise GanlabError(
            f"reg.{wanted_by}.players: this game has no player {player!r}.{suggestion(player, game.players)} "
            f"Its players: {', '.join(game.players)}."
        )
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
    """``players`` as a tuple of different names.

    Raises:
        ValueError: If there is none, or one is named twice.
    """
    names = (players,) if isinstance(players, str) else tuple(players)
    if not names or len(set(names)) != len(names):
        raise ValueError(f"players must name at least one player, each once, got {list(names)}")
    return names
