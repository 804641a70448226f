"""Generators with styles: mixing, the mean of w, truncation."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.core import distributed, randomness
from ganlab.core.checks import share
from ganlab.core.errors import one_of
from ganlab.layers import state
from ganlab.layers.mapping import MappingNetwork
from ganlab.layers.noise import draw_noise

CROSSOVERS = ("batch", "sample")


class StyleGenerator(nn.Module):
    """z -> mapping -> w -> a style for each layer -> synthesis -> image.

    Training mixes styles: with probability ``style_mixing`` the layers from a random one on get the w of a second
    latent, drawn from N(0, 1). The layer is drawn uniformly from the second one to the last, once for the whole batch
    as published (a micro-batch over all ranks here; there each GPU's batch), or once for each image. Training also
    tracks the mean of w: w_avg <- β·w_avg + (1 − β)·(mean of w over the batch, all ranks), where running state moves.

    Evaluation can truncate: w_avg + ψ·(w − w_avg) for the first ``cutoff`` layers.

    Source: Karras et al. 2019 (arXiv:1812.04948), sec. 2, 3.1 and app. B.

    Args:
        mapping: From z and y to w.
        synthesis: From styles (B, n, w_dim) and noise to images; it has ``noises`` and ``noise_positions``.
        num_ws: Styles of the whole network.
        style_mixing: Probability, 0 to 1.
        crossover: ``batch`` or ``sample``: what has a crossover of its own.
        w_avg_beta: β, 0 to 1.

    Raises:
        ValueError: If a number is out of range.
    """

    w_avg: Tensor
    synthesis: Any

    def __init__(
        self,
        mapping: MappingNetwork,
        synthesis: nn.Module,
        num_ws: int,
        *,
        style_mixing: float,
        crossover: str,
        w_avg_beta: float,
    ) -> None:
        super().__init__()
        one_of(crossover, CROSSOVERS, "crossover")
        for name, number in (("style_mixing", style_mixing), ("w_avg_beta", w_avg_beta)):
            share(name, number)
        self.style_mixing, self.crossover, self.w_avg_beta = style_mixing, crossover, w_avg_beta
        self.latent_dim, self.num_classes, self.w_dim = mapping.latent_dim, mapping.num_classes, mapping.w_dim
        self.mapping, self.synthesis, self.num_ws = mapping, synthesis, num_ws
        self.register_buffer("w_avg", torch.zeros(mapping.w_dim))

    @property
    def used_ws(self) -> int:
        """Styles in use: fewer than ``num_ws`` while a network grows."""
        return self.num_ws

    def styles(self, w: Tensor, psi: float | Tensor = 1.0, cutoff: int | None = None) -> Tensor:
        """(B, num_ws, w_dim): for each layer w, of the first ``cutoff`` ones truncated by ψ.

        Args:
            w: (B, w_dim).
            psi: ψ, any number: 1 leaves w as it is, 0 gives w_avg, below 0 is the opposite style; a tensor () is not
                looked at.
            cutoff: How many layers are truncated; None: all.

        Raises:
            ValueError: If ψ is no number, or the cutoff not 0 to ``num_ws``.
        """
        cutoff = self.num_ws if cutoff is None else cutoff
        if not isinstance(psi, Tensor) and not math.isfinite(psi):
            raise ValueError(f"expected psi to be a finite number, got {psi}")
        if not 0 <= cutoff <= self.num_ws:
            raise ValueError(f"expected cutoff to be 0 to {self.num_ws}, the number of layers, got {cutoff}")
        if not isinstance(psi, Tensor) and psi == 1.0:
            cutoff = 0
        truncated = self.w_avg.to(w.dtype).lerp(w, psi)
        first, rest = (x[:, None].expand(-1, n, -1) for x, n in ((truncated, cutoff), (w, self.num_ws - cutoff)))
        return torch.cat([first, rest], 1)

    def forward(
        self,
        z: Tensor,
        y: Tensor | None = None,
        *,
        psi: float = 1.0,
        cutoff: int | None = None,
        noise: str | Tensor = "random",
    ) -> Tensor:
        if self.training and psi != 1.0:
            raise ValueError(f"expected psi to be 1 in training, got {psi}: only evaluation truncates")
        # Drawn before anything is computed: compiled code has its only break here.
        mixing = self._draw_mixing(len(z)) if self.training and self.style_mixing else None
        if isinstance(noise, str) and noise == "random" and len(self.synthesis.noises):
            noise = draw_noise(z, self.synthesis.noise_positions)
        return self.synthesis(self._ws(z, y, mixing, psi, cutoff), noise)

    def ws(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, num_ws, w_dim): the styles that a pass takes: mixed in training, where the mean of w follows."""
        return self._ws(z, y, self._draw_mixing(len(z)) if self.training and self.style_mixing else None)

    def _ws(
        self,
        z: Tensor,
        y: Tensor | None,
        mixing: tuple[Tensor, Tensor] | None,
        psi: float = 1.0,
        cutoff: int | None = None,
    ) -> Tensor:
        w = self.mapping(z, y)
        if self.training and state.moves():
            wide = w.detach().to(torch.promote_types(w.dtype, torch.float32))
            with torch.no_grad():
                self.w_avg.lerp_(distributed.mean(wide.mean(0)).to(self.w_avg.dtype), 1 - self.w_avg_beta)
        return self.styles(w, psi, cutoff) if mixing is None else self._mixed(w, self.mapping(mixing[0], y), mixing[1])

    def _draw_mixing(self, batch: int) -> tuple[Tensor, Tensor]:
        """Second latents (B, latent_dim), and U[0, 1) for place and chance of the crossover (B or 1, 2)."""
        like = self.w_avg  # float32 under autocast too
        latents = randomness.noise("style mixing", like, (batch, self.latent_dim))
        if self.crossover == "batch":
            return latents, randomness.shared_noise("crossover", like, (1, 2), "uniform")
        return latents, randomness.noise("crossover", like, (batch, 2), "uniform")

    def _mixed(self, w: Tensor, other: Tensor, crossover: Tensor) -> Tensor:
        """Styles of the layers in use, from a random layer on those of ``other``."""
        count = self.used_ws
        place, chance = crossover.unbind(1)
        first = 1 + (place * (count - 1)).floor()  # uniform in 1..count-1
        first = torch.where(chance < self.style_mixing, first, count)
        mine = torch.arange(count, device=w.device) < first[:, None]
        return torch.where(mine[:, :, None], w[:, None], other[:, None])
