"""``clip``: the largest gradient norm of each player."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ganlab.contracts.game import Game
from ganlab.core.errors import GanlabError, suggestion


def limits(config: Mapping[str, Any], game: Game) -> dict[str, float]:
    """The limits that a configuration sets, by player.

    Raises:
        GanlabError: If one is no positive number, or of no player.
    """
    node = config.get("clip") or {}
    if not isinstance(node, Mapping):
        raise GanlabError(f"clip must be a limit for each player, such as clip.generator=1.0, got {node!r}.")
    found = {player: value for player, value in node.items() if value is not None}
    for player, value in found.items():
        if player not in game.players:
            raise GanlabError(
                f"clip.{player}: the game has no such player.{suggestion(player, game.players)} "
                f"Players: {', '.join(game.players)}."
            )
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= sys.float_info.max:
            raise GanlabError(f"clip.{player} must be a positive number or null, got {value!r}.")
    return found
