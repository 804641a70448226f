"""Questions that regularizers ask a game when they are attached to it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganlab.contracts.game import Game
from ganlab.core.errors import GanlabError, suggestion
from ganlab.layers import state
from ganlab.layers.operator_norm import CONVOLUTIONS


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


def map_sizes(game: Game, network: nn.Module, wanted_by: str) -> dict[nn.Module, tuple[int, ...]]:
    """Return the (H, W) of the maps that the convolutions of a generator or discriminator are given.

    They are found by a pass over one latent of zeros or one black image, which changes nothing.

    Raises:
        GanlabError: If the network does not say what it takes.
    """
    found: dict[nn.Module, tuple[int, ...]] = {}

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[module] = tuple(inputs[0].shape[2:])

    like = next(network.parameters())
    latent_dim, shape = getattr(network, "latent_dim", None), getattr(network, "image_shape", None)
    labels = like.new_zeros(1, dtype=torch.long) if getattr(network, "num_classes", 0) else None
    size = (latent_dim,) if latent_dim else shape
    if size is None:
        raise GanlabError(
            f"reg={wanted_by} must know which maps the convolutions of {type(network).__name__} are given: "
            f"give it an attribute image_shape, or latent_dim if it is a generator."
        )
    hooks = [m.register_forward_pre_hook(look) for m in network.modules() if isinstance(m, CONVOLUTIONS)]
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad(), state.passing(moves=False):
            network(like.new_zeros(1, *size), labels)
    except TypeError as error:  # it wants more than an image and a label
        raise GanlabError(f"reg={wanted_by}: a pass of {type(network).__name__} cannot be tried: {error}.") from error
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    return found


def checked_players(players: Sequence[str]) -> tuple[str, ...]:
    """Return ``players`` as a tuple of different names.

    Raises:
        ValueError: If there is none, or one is named twice.
    """
    names = (players,) if isinstance(players, str) else tuple(players)
    if not names or len(set(names)) != len(names):
        raise ValueError(f"players must name at least one player, each once, got {list(names)}")
    return names
