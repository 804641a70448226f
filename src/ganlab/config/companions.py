"""Default networks and loss of a game, for roles that the command line leaves open."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ganlab.config import option_table, schema
from ganlab.core import kinds, registry


def companions(config: Mapping[str, Any], typed: Collection[str]) -> list[str]:
    """Words that make the configuration fit the roles of its game, such as ``encoder=sngan``.

    A role that the game does not have is left empty. A role that it has and that is empty gets the
    component of the generator's name, if there is one, or else what the game names in its attribute
    ``companions``; that is also taken where only the defaults of ``ganlab train`` filled a role.

    Args:
        config: As composed so far.
        typed: The groups that the command line names; what it names stays as it is.
    """
    node = config.get("game") or {}
    if schema.COMPONENT not in node:
        return []
    game = option_table.at_hand("game", node[schema.COMPONENT])
    named = {r: name for r, name in game.companions.items() if name in registry.names(r)}

    def filled(role: str) -> bool:
        return schema.COMPONENT in (config.get(role) or {})

    words = []
    for role in kinds.roles():
        if role in typed:
            continue
        if role not in game.takes:
            words += [f"{role}=none"] if filled(role) else []
        elif not filled(role):
            model = (config.get("generator") or {}).get(schema.COMPONENT)
            name = model if kinds.KINDS[role].network and model in registry.names(role) else named.get(role)
            words += [f"{role}={name}"] if name else []
        elif role in named and "experiment" not in typed:
            words.append(f"{role}={named[role]}")
    return words
