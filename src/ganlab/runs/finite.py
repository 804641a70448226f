"""Check that the numbers of a run are finite before a checkpoint replaces a good one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ganlab.core import distributed
from ganlab.core.errors import GanlabError
from ganlab.engine.module import GameModule


class DivergedError(GanlabError):
    """Numbers of a run are not finite.

    Args:
        quantity: The first of them.
    """

    def __init__(self, message: str, quantity: str) -> None:
        super().__init__(message)
        self.quantity = quantity


def refuse_infinite(module: GameModule) -> None:
    """Stop a run whose weights, averages or optimizers hold a number that is NaN or infinite, on all ranks together.

    The host waits for the device, so this belongs to the writing of a checkpoint and not into an iteration.

    Raises:
        DivergedError: With what is not finite.
    """
    groups = dict(_groups(module))
    flag = torch.tensor(float(all(_finite(tensors) for tensors in groups.values())), device=module.device)
    if float(distributed.mean(flag)) < 1:
        bad = [name for name, tensors in groups.items() if not _finite(tensors)] or ["the numbers of another rank"]
        raise DivergedError(diverged(f"{bad[0]} are NaN or infinite", module), bad[0])


def diverged(what: str, module: GameModule) -> str:
    """The sentence for a run with numbers that are not finite."""
    return (
        f"The run has diverged: {what} at iteration {module.progress.iteration}. Checkpoints hold finite numbers only; "
        f"try lower learning rates (optimizer.discriminator.lr), reg=sn, or clip.discriminator=1.0."
    )


def _groups(module: GameModule) -> Iterator[tuple[str, list[Tensor]]]:
    """Give the tensors of a checkpoint, by the name that a message uses."""
    state = module.state_dict()
    yield "weights", [value for key, value in state.items() if not key.startswith("average.")]
    yield "averaged weights", [value for key, value in state.items() if key.startswith("average.")]
    for player, optimizer in module.player_optimizers.by_player.items():
        moments = [*_tensors(optimizer.state.values()), *module.player_optimizers.last_steps.get(player, ())]
        yield f"the moments of the {player}'s optimizer", moments


def _tensors(states: Iterable[Mapping[str, Any]]) -> Iterator[Tensor]:
    return (value for state in states for value in state.values() if isinstance(value, Tensor))


@torch.no_grad()
def _finite(tensors: Iterable[Tensor]) -> bool:
    """Tell if all numbers are finite, by their largest magnitudes: sums of squares would overflow."""
    by_device: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.numel():
            by_device.setdefault(tensor.device, []).append(tensor.detach())
    largest = (torch._foreach_norm(group, float("inf")) for group in by_device.values())
    return all(bool(torch.stack([norm.isfinite() for norm in norms]).all()) for norms in largest)
