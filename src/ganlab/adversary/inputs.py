"""Checks of what a loop hands over, each one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganlab.adversary import outputs
from ganlab.adversary.opponent import Opponent
from ganlab.config import arguments
from ganlab.contracts.turn import Objectives
from ganlab.core.errors import GanlabError


def check_samples(samples: Mapping[str, Any], like: Tensor, where: str) -> None:
    """Check samples by their names: ``fake``, and ``real`` where there are any.

    Args:
        like: A weight of the discriminator.
        where: The method, for messages.

    Raises:
        GanlabError: If they are no batches of floats of one shape on the discriminator's device, which it can take.
    """
    for name, x in samples.items():
        if not isinstance(x, Tensor):
            raise GanlabError(f"{where}: {name} must be a tensor (B, ...), got a {type(x).__name__}.")
        if not x.is_floating_point():
            kind = str(x.dtype).removeprefix("torch.")
            raise GanlabError(
                f"{where}: {name} must be floats, as the networks see them, got {kind}: convert it first."
            )
        if x.ndim < 2 or x.shape[0] == 0:
            raise GanlabError(f"{where}: {name} must be a batch (B, ...), got the shape {tuple(x.shape)}.")
        _check_device(name, x, like.device, where)
        if x.dtype is torch.float64 and like.dtype is not torch.float64:
            raise GanlabError(f"{where}: {name} is float64 and the discriminator is not: give {name}.float().")
    real, fake = samples.get("real"), samples["fake"]
    if real is not None and real.shape != fake.shape:
        raise GanlabError(
            f"{where}: real has the shape {tuple(real.shape)} and fake {tuple(fake.shape)}: they must be the same."
        )


def _check_device(name: str, x: Tensor, device: torch.device, where: str) -> None:
    if x.device != device:
        raise GanlabError(
            f"{where}: {name} is on {x.device} and the discriminator on {device}: move one of them, the adversary "
            f"with adversary.to(device)."
        )


def check_condition(condition: Any, game: Opponent, fake: Tensor, where: str) -> None:
    """Check that a condition has somewhere to go, and has a row for each sample.

    Raises:
        GanlabError: If the discriminator takes none, or needs one, or it is of other samples or on another device.
    """
    if condition is None:
        if game.needs_condition:
            name = type(game.discriminator).__name__
            raise GanlabError(f"{where}: {name}.forward takes (x, condition), and no condition is given: give it.")
        return
    if not game.takes_condition:
        name = type(game.discriminator).__name__
        raise GanlabError(
            f"{where}: a condition is given, but {name}.forward takes samples only: let it take (x, condition)."
        )
    for x in outputs.flat(condition):
        if x.ndim == 0 or len(x) != len(fake):
            raise GanlabError(
                f"{where}: the condition has a tensor of shape {tuple(x.shape)} for {len(fake)} samples: its first "
                f"dimension must be the batch."
            )
        _check_device("the condition", x, fake.device, where)


def check_term(
    game: Opponent, fake: Tensor, real: Tensor | None, reconstruction: Tensor | None, last_layer: Tensor | None
) -> None:
    """Check that the generator's term has what it needs.

    Raises:
        GanlabError: If a loss, a graph or real samples are missing.
    """
    for name, given in (("reconstruction", reconstruction), ("last_layer", last_layer)):
        if given is not None and not isinstance(given, Tensor):
            raise GanlabError(f"generator_loss: {name} must be a tensor, got a {type(given).__name__}.")
    if reconstruction is not None and reconstruction.numel() != 1:
        raise GanlabError(
            f"generator_loss: reconstruction must be one number, got the shape {tuple(reconstruction.shape)}: take its "
            f"mean."
        )
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


def check_precision(regularizers: Mapping[str, Any], weight: Tensor) -> None:
    """Check that weights are as precise as penalties on slopes need.

    Raises:
        GanlabError: If they have 16 bits.
    """
    if weight.dtype not in (torch.bfloat16, torch.float16):
        return
    for name, one in regularizers.items():
        if hasattr(one, "slopes") or one.input_gradients:
            raise GanlabError(
                f"reg={name} measures slopes in float32, and the discriminator's weights are "
                f"{str(weight.dtype).removeprefix('torch.')}: keep them in float32, and judge under torch.autocast."
            )


def check_graph(objectives: Objectives) -> None:
    """Check that what the discriminator minimises depends on its weights.

    Raises:
        GanlabError: If it does not.
    """
    for terms in objectives.values():
        if not any(term.requires_grad for term in terms.values()):
            raise GanlabError(
                "step: the discriminator's logits have no graph, so it would learn nothing: let it not detach them nor "
                "judge under torch.no_grad, and let its weights require a gradient."
            )


def check_slope(slope: Tensor | None) -> Tensor:
    """Return the gradient of the generator's term by the fakes.

    Raises:
        GanlabError: If there is none.
    """
    if slope is None:
        raise GanlabError(
            "generator_loss: the discriminator's logits do not depend on fake, so the generator would learn nothing: "
            "let it not detach what it is given nor judge under torch.no_grad."
        )
    return slope


def check_options(called: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of `Adversary` as its signature wants them.

    Raises:
        GanlabError: If one is of another type or out of range, or the end comes before the start.
    """
    options = arguments.checked(called, given)
    start, ramp, total = (options[name] for name in ("start_step", "ramp_steps", "total_steps"))
    if total is not None and total <= start + ramp:
        raise GanlabError(f"total_steps={total} must be above start_step={start} and ramp_steps={ramp} together.")
    return options
