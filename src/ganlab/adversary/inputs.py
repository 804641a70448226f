"""Checks of what a loop hands over, each one sentence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganlab.adversary.opponent import DISCRIMINATOR, REDUCTIONS, Opponent
from ganlab.core.checks import at_least, at_least_zero, positive
from ganlab.core.errors import GanlabError, one_of, sentence


def check_samples(real: Tensor | None, fake: Tensor, device: torch.device, where: str) -> None:
    """Check real and fake samples.

    Args:
        device: The discriminator's.
        where: The method, for messages.

    Raises:
        GanlabError: If they are no batches of floats of one shape on the discriminator's device.
    """
    for name, x in (("fake", fake), ("real", real)):
        if x is None:
            continue
        if not isinstance(x, Tensor):
            raise GanlabError(f"{where}: {name} must be a tensor (B, ...), got a {type(x).__name__}.")
        if not x.is_floating_point():
            kind = str(x.dtype).removeprefix("torch.")
            raise GanlabError(
                f"{where}: {name} must be floats, as the networks see them, got {kind}: convert it first."
            )
        if x.ndim < 2 or len(x) == 0:
            raise GanlabError(f"{where}: {name} must be a batch (B, ...), got the shape {tuple(x.shape)}.")
        if x.device != device:
            raise GanlabError(
                f"{where}: {name} is on {x.device} and the discriminator on {device}: move one of them, the adversary "
                f"with adversary.to(device)."
            )
    if real is not None and real.shape != fake.shape:
        raise GanlabError(
            f"{where}: real has the shape {tuple(real.shape)} and fake {tuple(fake.shape)}: they must be the same."
        )


def check_condition(condition: Any, game: Opponent, where: str) -> None:
    """Check that a condition has somewhere to go.

    Raises:
        GanlabError: If the discriminator takes none.
    """
    if condition is not None and not game.takes_condition:
        name = type(game.discriminator).__name__
        raise GanlabError(
            f"{where}: a condition is given, but {name}.forward takes samples only: let it take (x, condition)."
        )


def check_term(
    game: Opponent, fake: Tensor, real: Tensor | None, reconstruction: Tensor | None, last_layer: Tensor | None
) -> None:
    """Check that the generator's term has what it needs.

    Raises:
        GanlabError: If a loss, a graph or real samples are missing.
    """
    if last_layer is not None and reconstruction is None:
        raise GanlabError(
            "generator_loss: last_layer asks for a ratio of gradients, and that of reconstruction is one of them: give "
            "reconstruction."
        )
    if torch.is_grad_enabled() and not fake.requires_grad:
        raise GanlabError(
            "generator_loss: fake has no graph, so the generator would learn nothing: give it as the generator made "
            "it, without detach, or call this under torch.no_grad for its value alone."
        )
    if real is None and game.compares:
        raise GanlabError(
            "generator_loss: the loss, feature_matching or a regularizer compares with real samples: give real."
        )


def check_options(
    start_step: int,
    ramp_steps: int,
    total_steps: int | None,
    accumulate: int,
    feature_matching: float,
    reduction: str,
    clip: float | None,
) -> dict[str, float]:
    """Check options of `Adversary`, and return the largest norm of each player's gradient.

    Raises:
        GanlabError: If one is out of range.
    """
    try:
        at_least("start_step", start_step, 0)
        at_least("ramp_steps", ramp_steps, 0)
        at_least("accumulate", accumulate, 1)
        at_least_zero("feature_matching", feature_matching)
        one_of(reduction, REDUCTIONS, "reduction")
        limits = {} if clip is None else {DISCRIMINATOR: positive("clip", clip)}
    except ValueError as error:
        raise GanlabError(sentence(error)) from error
    if total_steps is not None and total_steps <= start_step + ramp_steps:
        raise GanlabError(
            f"total_steps={total_steps} must be above start_step={start_step} and ramp_steps={ramp_steps} together."
        )
    return limits
