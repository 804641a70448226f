"""The check that the turns of a run can be recorded, and what of it is not."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ganlab.core import kinds
from ganlab.core.errors import GanlabError
from ganlab.engine.module import GameModule


def check(module: GameModule, device: torch.device, world_size: int) -> None:
    """Refuse a run that is to be recorded and cannot be.

    Args:
        module: Its game.
        device: Where it trains.
        world_size: Processes.

    Raises:
        GanlabError: If it is on no GPU, has several processes, or has a part that cannot be recorded.
    """
    if not module.training_options.recorded:
        return
    if device.type != "cuda":
        raise GanlabError(
            f"recorded=true records turns as CUDA graphs, and this run is on the {device.type}: "
            f"take recorded=auto, or trainer.accelerator=gpu."
        )
    if world_size > 1:
        raise GanlabError(f"recorded=true is for one process, and this run has {world_size}: take recorded=auto.")
    reasons = list(refusals(module))
    if reasons:
        raise GanlabError(f"recorded=true does not go with {'; nor with '.join(reasons)}: take recorded=auto.")


def refusals(module: GameModule) -> Iterator[str]:
    """Yield what cannot be recorded, and why, in words that follow ``with``."""
    yield from module.player_optimizers.unrecordable()
    for scheduled in module.training_options.scheduled:
        if scheduled.name in getattr(scheduled.part, "host_options", ()):
            yield f"{scheduled.key} as a schedule, because turns read it on the host"
    own = kinds.single_hooks()
    parts = [(name if name in own else f"reg={name}", part) for name, part in module.regularizers.items()]
    parts += [("the game", module.game), *((f"the {name}", part) for name, part in module.game.named_children())]
    for name, part in [*parts, ("the loss", getattr(module.game, "loss", None))]:
        reason = getattr(part, "unrecordable", "")
        if reason:
            yield f"{name}, because {reason}"


def said(module: GameModule) -> list[str]:
    """Return a line about what is recorded and what is played as without it; none where nothing is recorded."""
    if not module.training_options.recorded:
        return []
    return [
        "recorded: turns, from the third time that each is played; not recorded: averages of weights, which are a few "
        "launches, and turns whose steps the guard or an instrument looks at."
    ]
