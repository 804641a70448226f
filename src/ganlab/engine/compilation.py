"""torch.compile for networks that play: the networks, and the input gradient as one piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ganlab.contracts.game import Game
from ganlab.contracts.setting import Setting


def compile_networks(game: Game, setting: Setting) -> None:
    """Compile every player's modules in place, and give ``setting`` a compiled input gradient."""
    for player in game.players.values():
        for module in player.modules.values():
            module.compile()  # keeps names, so checkpoints do not change
    setting.double_backward = False
    discriminator: Any = getattr(game, "discriminator", None)
    if discriminator is None:
        return

    def input_gradient(images: Tensor, labels: Tensor | None) -> Tensor:
        # torch.compile refuses double backward: the gradient is taken inside, so that the
        # compiled whole is differentiated once
        def total(x: Tensor) -> Tensor:
            if hasattr(discriminator, "head"):
                logits: Tensor = discriminator.head(discriminator.features(x, labels), labels)
            else:
                logits = discriminator.forward(x, labels)  # the call itself is compiled already
            return logits.float().sum()

        gradient: Tensor = torch.func.grad(total)(images)
        return gradient

    compiled: Callable[[Tensor, Tensor | None], Tensor] = torch.compile(input_gradient)

    def without_autocast(images: Tensor, labels: Tensor | None) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return compiled(images, labels)

    setting.input_gradient = without_autocast
