"""The options that all views of a run share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ganlab.core.randomness import Distribution

Draw = Callable[[str, Sequence[int], Distribution], Tensor]


@dataclass
class Setting:
    """The options that all views of a run share.

    Args:
        prior: ``prior(draw, batch, dim)`` makes latents from keyed draws.
        latent_dim: Width of ``z``; 0 if the game draws no latents.
        label_shares: (num_classes,) shares of the labels that fakes get; None: unconditional.
        every_forward: Running state moves on every forward pass instead of once a micro-batch.
        strength: Factor on the terms that regularizers add.
        double_backward: Whether the networks' main pass can be differentiated twice (compiled
            ones cannot).
        input_gradient: A compiled replacement for the eager input gradient, or None.
        gradient_scale: Factor on input gradients; networks that grow may have another in each stage.
        timer: Surrounds each part of an iteration, for the benchmark.
    """

    prior: Callable[[Draw, int, int], Tensor]
    latent_dim: int
    label_shares: Tensor | None = None
    every_forward: bool = False
    strength: float = 1.0
    double_backward: bool = True
    input_gradient: Callable[..., Tensor] | None = None
    gradient_scale: float = 1.0
    timer: Callable[[str], AbstractContextManager[Any]] = nullcontext
