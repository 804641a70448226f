"""The check that the turns of a run can be recorded, and what of it is not."""

from __future__ import annotations

from collections.abc import Iterator

import lightning as L
import torch

from ganlab.core import kinds
from ganlab.core.errors import GanlabError
from ganlab.engine.module import GameModule

AUTO_RECORDS = False  # recorded=auto records what can be recorded; False: nothing, until a GPU has been seen to do it


def check_trainer(module: GameModule, trainer: L.Trainer) -> None:
    """Decide if the turns of a game are recorded in a Trainer; see `check`."""
    strategy = trainer.strategy
    backend = getattr(strategy, "process_group_backend", None) or "nccl"
    check(module, strategy.root_device, trainer.world_size, backend)


def check(module: GameModule, device: torch.device, world_size: int = 1, backend: str = "nccl") -> None:
    """Decide if the turns of a run are recorded, and refuse ``recorded=true`` where they cannot be.

    Args:
        module: Its game.
        device: Where it trains.
        world_size: Processes.
        backend: Of their process group, as ``nccl`` or ``cpu:gloo,cuda:nccl``.

    Raises:
        GanlabError: If it is on no GPU, has processes without NCCL, or has a part that cannot be recorded.
    """
    recorded = module.training_options.recorded
    if recorded is False:
        return
    if recorded == "auto":
        on = AUTO_RECORDS and device.type == "cuda"
        module.unrecorded = list(refusals(module, world_size, backend)) if on else []
        module.to_record = on and not module.unrecorded
        return
    if device.type != "cuda":
        raise GanlabError(
            f"recorded=true records turns as CUDA graphs, and this run is on the {device.type}: "
            f"take recorded=auto, or trainer.accelerator=gpu."
        )
    reasons = list(refusals(module, world_size, backend))
    if reasons:
        raise GanlabError(f"recorded=true does not go with {'; nor with '.join(reasons)}: take recorded=auto.")


def refusals(module: GameModule, world_size: int = 1, backend: str = "nccl") -> Iterator[str]:
    """Yield what cannot be recorded on a GPU, and why, in words that follow ``with``."""
    if world_size > 1 and "nccl" not in backend:
        yield f"{world_size} processes over {backend}, because CUDA graphs hold the messages of nccl alone"
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
    """Return a line about what is recorded and what is played as without it, or why nothing is recorded; none where
    nobody asks for it."""
    if module.to_record:
        return [
            "recorded: turns, from the third iteration with each; not recorded: averages of weights, which are a "
            "few launches, and turns whose steps the guard or an instrument looks at."
        ]
    if module.unrecorded:
        return [f"not recorded: turns, which do not go with {'; nor with '.join(module.unrecorded)}."]
    return []
