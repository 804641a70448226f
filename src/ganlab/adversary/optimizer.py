"""The discriminator's optimizer: by name, as a function, or as an object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ganlab.adversary import numbers, wrappers
from ganlab.adversary.opponent import DISCRIMINATOR
from ganlab.assembly import game, parts
from ganlab.contracts.turn import Player
from ganlab.core.errors import GanlabError
from ganlab.core.schedules import Schedule

Factory = Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]


def factory_of(chosen: Any, lr: Any, total_steps: int | None, player: Player) -> tuple[Factory, Schedule | None]:
    """Return what makes the optimizer, and the schedule of its rate.

    Raises:
        GanlabError: If it is no optimizer, or one of other parameters than the player's.
    """
    rate = numbers.schedule(lr, "lr", total_steps) if isinstance(lr, (Mapping, Schedule)) else None
    # some optimizers refuse a rate of 0, with which a warm-up may begin
    first = lr if rate is None else rate(0) or max(rate.start_value, rate.end_value)
    optimizer = wrappers.inner_optimizer(chosen)
    if isinstance(optimizer, torch.optim.Optimizer):
        if lr is not None:
            raise GanlabError("lr: the optimizer is given as an object, which has its rate: leave lr out.")
        check_parameters(optimizer, player)
        return lambda parameters: optimizer, None
    if not (callable(chosen) or isinstance(chosen, (str, Mapping))):
        raise GanlabError(
            f"optimizer must be a name, {{name: options}}, a function (params, lr=...) or a torch optimizer, got a "
            f"{type(chosen).__name__}."
        )
    part = parts.optimizer(DISCRIMINATOR, chosen, first)
    factory = game.optimizer_factory(part, part.arguments)

    def make(parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
        made: torch.optim.Optimizer = wrappers.inner_optimizer(factory(parameters))
        check_parameters(made, player)
        return made

    return make, rate


def check_parameters(optimizer: torch.optim.Optimizer, player: Player) -> None:
    """Check that an optimizer has no parameters but the discriminator's, and has all that are trained.

    Raises:
        GanlabError: If it has not.
    """
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    own = {id(p) for p in player.parameters()}
    wanted = {id(p) for p in player.parameters() if p.requires_grad}
    if foreign := len(held - own):
        raise GanlabError(
            f"optimizer: {foreign} of its {len(held)} parameters are none of the discriminator's: give an optimizer of "
            f"discriminator.parameters() alone, or a function such as torch.optim.Adam."
        )
    if missing := len(wanted - held):
        raise GanlabError(
            f"optimizer: it lacks {missing} of the discriminator's {len(wanted)} parameters, regularizers' "
            f"among them: give a function such as torch.optim.Adam, or freeze the others with requires_grad_(False)."
        )
