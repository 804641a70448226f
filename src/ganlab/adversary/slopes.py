"""The generator's term as a number with a known slope: normalized, weighed, and safe from what is not finite."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganlab.core import distributed
from ganlab.core.checks import share
from ganlab.core.errors import GanlabError, sentence

EPS, MOST = 1e-4, 1e4  # of the adaptive weight


class Known(torch.autograd.Function):
    """weight·value, whose gradient by ``fake`` is weight·slope, found before: nothing of the discriminator is kept."""

    @staticmethod
    def forward(ctx: Any, fake: Tensor, value: Tensor, slope: Tensor, weight: float | Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        ctx.weight = weight
        return value * weight

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        (slope,) = ctx.saved_tensors
        return (gradient * ctx.weight).to(slope.dtype) * slope, None, None, None


class GradientNormalization(nn.Module):
    """Divide the slope of the generator's term by a moving average of its own size.

    slope / (sqrt(a) + 1e-8) with a <- decay * a + (1 - decay) * n ||slope||^2, a = 0 at first, over the n numbers of
    the fakes of a rank; the square is averaged over ranks. The term then has the gradient of a mean with slope 1,
    whatever the discriminator's scale is.

    Source: Lin et al. 2025, Adversarial Flow Models (arXiv:2511.22475), and its code
    (github.com/ByteDance-Seed/Adversarial-Flow-Models, ``grad_norm.py``): decay 0.9.

    Args:
        decay: In [0, 1).

    Raises:
        GanlabError: If it is out of range.
    """

    square: Tensor

    def __init__(self, decay: float = 0.9) -> None:
        super().__init__()
        try:
            self.decay = share("gradient_normalization", decay, one=False)
        except ValueError as error:
            raise GanlabError(sentence(error)) from error
        self.register_buffer("square", torch.zeros(()))

    @torch.no_grad()
    def forward(self, slope: Tensor) -> Tensor:
        square = distributed.mean(slope.float().square().sum() * slope.numel())
        self.square.lerp_(square, 1 - self.decay)
        return slope * (1 / (self.square.sqrt() + 1e-8)).to(slope.dtype)


def adaptive_weight(reconstruction: Tensor, fake: Tensor, slope: Tensor, last_layer: Tensor) -> Tensor:
    """Return min(||d reconstruction / dw|| / (||d term / dw|| + 1e-4), 1e4), w the weights of the last layer.

    Both gradients are averaged over ranks before their norms are taken, so that N processes weigh as one.

    Source: Esser et al. 2021, VQGAN (arXiv:2012.09841), eq. 7 with delta 1e-6; the numbers are those of its code
    (github.com/CompVis/taming-transformers, ``taming/modules/losses/vqperceptual.py``).

    Raises:
        GanlabError: If a graph does not reach the last layer.
    """
    by_reconstruction = _gradient(reconstruction, None, last_layer, "reconstruction")
    by_term = _gradient(fake, slope, last_layer, "fake")
    distributed.average([by_reconstruction, by_term])
    weight = by_reconstruction.float().norm() / (by_term.float().norm() + EPS)
    return weight.clamp(0, MOST)


def _gradient(output: Tensor, direction: Tensor | None, last_layer: Tensor, what: str) -> Tensor:
    if not last_layer.requires_grad:
        raise GanlabError(
            "generator_loss: last_layer is in no graph: give the weight that is trained, such as decoder.out.weight."
        )
    found = None
    if output.requires_grad:
        (found,) = torch.autograd.grad(output, last_layer, direction, retain_graph=True, allow_unused=True)
    if found is None:
        raise GanlabError(
            f"generator_loss: {what} does not depend on last_layer, so there is no ratio of gradients: give the last "
            f"weight before the fake, and a {what} with its graph."
        )
    return found.detach()


def finite_or_zero(value: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Return a scalar and its slope, without graphs, or zeros on all ranks if a number of them is not finite.

    A sum in float32 is finite if and only if its numbers are, and do not add up to more than 3e38.
    """
    finite = (slope.sum(dtype=torch.float32) + value).isfinite()
    if distributed.world_size() > 1:
        finite = distributed.mean((~finite).float()) == 0
    return torch.where(finite, value, 0.0), torch.where(finite, slope, 0.0)
