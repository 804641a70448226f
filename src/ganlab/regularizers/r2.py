"""R2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor

from ganlab.core.checks import at_least_zero
from ganlab.regularizers import automatic_gamma
from ganlab.regularizers.finite_difference import Slopes
from ganlab.regularizers.input_penalty import InputPenalty


class R2(InputPenalty):
    """R2: gamma/2 * E||dD/dx||^2 at fake images; the generator gets no gradient from it.

    Source: Mescheder et al. 2018 (arXiv:1801.04406), eq. 10; with ``r1``, R3GAN's (arXiv:2501.05441).

    It shares the main forward pass, in float32 and eagerly; in turns of its own it makes its own.

    Args:
        gamma: Strength in the gamma/2 convention, at least 0. ``auto``: from the images' size and the batch of a run,
            see `ganlab.regularizers.automatic_gamma`, which the run says when it begins.
        interval_steps: 1: in every turn of the discriminator; k > 1: every k-th iteration, k times as strong.
        estimator: ``exact``, or ``finite_difference``: E[(D(x + eps n) - D(x))^2] / eps^2 for E||dD/dx||^2, with
            n ~ N(0, I). It needs no second derivatives, so that it works with fused attention, FSDP and compiled
            networks: two forward passes over a share of the batch. APT (arXiv:2501.08316) and Adversarial Flow Models
            (arXiv:2511.22475) use it with eps 0.01, the latter on a quarter of the batch.
        eps: Step of the finite difference, positive.
        share: Share of the batch that it is taken on, 1/k for a whole k.

    Raises:
        ValueError: If an option is out of range.
    """

    penalizes = "fake"
    automatic: ClassVar[Mapping[str, Any]] = {"gamma": automatic_gamma.gamma}

    def __init__(
        self,
        gamma: float | Literal["auto"] = 10.0,
        interval_steps: int = 1,
        estimator: str = "exact",
        eps: float = 0.01,
        share: float = 0.25,
    ) -> None:
        super().__init__("r2", "fake", interval_steps, Slopes(estimator, eps, share))
        self.gamma = at_least_zero("gamma", automatic_gamma.known(gamma))

    def penalty(self, squared: Tensor) -> Tensor:
        return self.gamma / 2 * squared
