"""Truncation in w and noise: options of generators with a w space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.core import randomness
from ganlab.core.errors import GanlabError, one_of

NOISE = ("random", "fixed", "off")


@dataclass(frozen=True)
class Style:
    """Options with which a generator with a w space makes images.

    Args:
        psi: ψ of w_avg + ψ·(w - w_avg); 1: w as it is.
        cutoff: Layers that are truncated, from the first on; None: all.
        noise: ``random``: each image has its own, a function of (seed, its number); ``fixed``: the stored maps, the
            same for all; ``off``.
    """

    psi: float = 1.0
    cutoff: int | None = None
    noise: str = "random"


def has_styles(generator: Any) -> bool:
    """Tell if a generator has a w space: ``mapping``, ``styles`` and ``synthesis``."""
    return all(hasattr(generator, name) for name in ("mapping", "styles", "synthesis"))


def style(
    generator: Any, family: str, psi: float | None = None, cutoff: int | None = None, noise: str = "random"
) -> Style | None:
    """Return the options for ``generator``; None for one without a w space.

    Args:
        family: What it is called, for sentences.

    Raises:
        GanlabError: If a number is out of range.
    """
    if not has_styles(generator):
        return None
    if psi is not None and (isinstance(psi, bool) or not isinstance(psi, (int, float)) or not math.isfinite(psi)):
        raise GanlabError(f"psi must be a finite number, got {psi!r}.")
    if cutoff is not None and not 0 <= cutoff <= generator.num_ws:
        raise GanlabError(f"cutoff must be 0 to {generator.num_ws}, the layers of {family}, got {cutoff}.")
    try:
        one_of(noise, NOISE, "noise")
    except ValueError as error:
        raise GanlabError(str(error)) from error
    return Style(1.0 if psi is None else float(psi), cutoff, noise)


def refuse_without_styles(generator: Any, family: str, asked: str) -> None:
    """Refuse what only a generator with a w space can do.

    Raises:
        GanlabError: If ``generator`` has none.
    """
    if not has_styles(generator):
        instead = "truncation=1.0 truncates its latents instead" if asked.startswith("psi") else "leave it out"
        raise GanlabError(f"{asked} needs a generator with a w space, and {family} has none: {instead}.")


def images(generator: Any, z: Tensor, labels: Tensor | None, style: Style, seed: int, first: int) -> Tensor:
    """Images of latents (B, Z), the first of which has the number ``first``."""
    noise: str | Tensor = style.noise
    positions = generator.synthesis.noise_positions
    if noise == "random" and positions:
        noise = torch.cat([numbers(seed, first + i, positions) for i in range(len(z))]).to(z)
    made: Tensor = generator(z, labels, psi=style.psi, cutoff=style.cutoff, noise=noise)
    return made


def numbers(seed: int, number: int, positions: int) -> Tensor:
    """The noise of image ``number``, N(0, 1), (1, positions)."""
    return randomness.sample(randomness.generator("cpu", seed, "sample", number, "noise"), (1, positions))


class OfStyles(nn.Module):
    """A generator that takes styles (B, num_ws, w_dim) instead of latents."""

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.generator = generator
        self.mapping, self.styles, self.synthesis = nn.Identity(), nn.Identity(), generator.synthesis

    def forward(
        self, ws: Tensor, y: Tensor | None = None, *, psi: float, cutoff: int | None, noise: str | Tensor
    ) -> Tensor:
        made: Tensor = self.generator.synthesis(ws, noise)
        return made


@torch.no_grad()
def in_w(generator: Any, z: Tensor, labels: Tensor | None) -> Tensor:
    """w of latents, (B, w_dim), on the CPU."""
    parameter = next(generator.parameters())
    y = labels.to(parameter.device) if labels is not None else None
    w: Tensor = generator.mapping(z.to(parameter.device, parameter.dtype), y)
    return w.float().cpu()


@torch.no_grad()
def layers_of(generator: Any, w: Tensor, style: Style) -> Tensor:
    """The style of each layer, (B, num_ws, w_dim), truncated as ``style`` says, on the CPU."""
    ws: Tensor = generator.styles(w.to(generator.w_avg.device), style.psi, style.cutoff)
    return ws.cpu()
