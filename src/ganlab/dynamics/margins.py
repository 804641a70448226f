"""Margins: the energies beyond which a point no longer moves the discriminator."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch

from ganlab.dynamics.training import Training

_MOST, _STEP = 20.0, 0.01  # of the logits that are tried
_LOGITS = {"real_logits", "fake_logits"}

Margins = tuple[float, float]


def of(training: Training) -> Margins | None:
    """Return the energies from which on the loss has no slope: of real points at most, and of samples at least.

    The hinge has them at U = -m and U = m: a real point in a pit deeper than m, or a sample on a hill higher than m,
    gives the discriminator no gradient. It is infinite where only one of them exists.

    Returns:
        None for a loss that has a slope everywhere, or that judges more than logits.
    """
    loss: Any = getattr(training.game, "loss", None)
    objective = getattr(loss, "discriminator", None)
    if objective is None or set(inspect.signature(objective).parameters) != _LOGITS:
        return None
    logits = torch.arange(-_MOST, _MOST + _STEP / 2, _STEP, dtype=torch.float64)
    real, fake = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    slopes = torch.autograd.grad(
        objective(real_logits=real, fake_logits=fake).sum(), [real, fake], materialize_grads=True
    )
    deep, high = (logits[slope == 0] for slope in slopes)
    if not len(deep) and not len(high):
        return None
    return -float(deep.min()) if len(deep) else -math.inf, -float(high.max()) if len(high) else math.inf
