"""``clip``: the largest gradient norm of each player."""

from __future__ import annotations

from collections.abc import Mapping

from ganlab.contracts.game import Game
from ganlab.core.errors import GanlabError, shown, suggestion


def limits(clip: Mapping[str, float | None], game: Game) -> dict[str, float]:
    """The limits that are set, by player.

    Raises:
        GanlabError: If one is of no player.
    """
    if not isinstance(clip, Mapping):
        raise GanlabError(f"clip must be a mapping of players to norms, as {{'generator': 1.0}}, got {shown(clip)}.")
    found = {player: limit for player, limit in clip.items() if limit is not None}
    for player in found:
        if player not in game.players:
            raise GanlabError(
                f"clip.{player}: the game has no such player.{suggestion(str(player), game.players)} "
                f"Players: {', '.join(game.players)}."
            )
    return found
