"""torch.compile for networks that play: the networks, and the input gradient as one piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.setting import Setting
from ganlab.core.errors import GanlabError
from ganlab.layers import state


def refuse_double_backward(regularizers: Mapping[str, Regularizer]) -> None:
    """Refuse regularizers that compiled networks cannot play with.

    Args:
        regularizers: By name.

    Raises:
        GanlabError: If one differentiates the networks twice.
    """
    for name, regularizer in regularizers.items():
        if regularizer.player_gradients:
            raise GanlabError(
                f"reg={name} differentiates the networks twice, which torch.compile refuses: set compile=false."
            )


def compile_networks(game: Game, setting: Setting, mode: str | None = None) -> None:
    """Compile every player's modules in place, and give ``setting`` a compiled input gradient.

    Args:
        mode: One of torch.compile's; None: its default.
    """
    for player in game.players.values():
        for module in player.modules.values():
            module.compile(mode=mode)  # keeps names, so checkpoints do not change
    setting.double_backward = False
    discriminator: Any = getattr(game, "discriminator", None)
    if discriminator is None:
        return

    def input_gradient(images: Tensor, *conditions: Any) -> Tensor:
        # torch.compile refuses double backward: the gradient is taken inside, so that the
        # compiled whole is differentiated once
        def total(x: Tensor) -> Tensor:
            if hasattr(discriminator, "head"):
                output = discriminator.head(discriminator.features(x, *conditions), *conditions[:1])
            else:
                output = discriminator.forward(x, *conditions)  # the call itself is compiled already
            return game.per_image(game.judged(output).float()).sum()

        gradient: Tensor = torch.func.grad(total)(images)
        return gradient

    compiled: Callable[[Tensor, Tensor | None], Tensor] = torch.compile(input_gradient, mode=mode)

    def without_autocast(images: Tensor, *conditions: Any) -> Tensor:
        with torch.autocast(images.device.type, enabled=False), state.passing(twice=True):
            return compiled(images, *conditions)

    setting.input_gradient = without_autocast
