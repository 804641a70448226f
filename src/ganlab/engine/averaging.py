"""Exponential moving averages of networks, with a clock of their own."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.core.checks import at_least_zero

AVERAGED_BUFFERS = ("running_mean", "running_var")


class Average(nn.ModuleDict):
    """Averages w̄ <- b·w̄ + (1 - b)·w, b = 2^(-images / half-life), of the parameters and batch-norm
    statistics of some networks; every other buffer is copied.

    A spectral-norm vector must not be averaged: it would be no unit vector any more, and the
    averaged network would explode.

    Args:
        networks: The networks, by name. The averages start as copies.
        half_life_kimg: Half-life in thousands of real images; 0: the averages stay copies.
        ramp_up: The half-life is at most this share of the images seen (StyleGAN2-ADA,
            arXiv:2006.06676, uses 0.05); None: no ramp-up.
        start_kimg: Until so many images the averages are copies.
        half_life_steps: Half-life in iterations, instead of ``half_life_kimg``: the two differ where the batch
            changes, as it does when networks grow.

    Raises:
        ValueError: If a number is negative.
    """

    def __init__(
        self,
        networks: dict[str, nn.Module],
        half_life_kimg: float = 10.0,
        ramp_up: float | None = 0.05,
        start_kimg: float = 0.0,
        half_life_steps: float | None = None,
    ) -> None:
        self._lists: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]] | None = None
        super().__init__({name: copy.deepcopy(network) for name, network in networks.items()})
        for name, number in (
            ("half_life_kimg", half_life_kimg), ("ramp_up", ramp_up), ("start_kimg", start_kimg),
            ("half_life_steps", half_life_steps),
        ):  # fmt: skip
            if number is not None:
                at_least_zero(name, number)
        self.requires_grad_(False)
        self.eval()
        self.half_life_kimg, self.ramp_up, self.start_kimg = half_life_kimg, ramp_up, start_kimg
        self.half_life_steps = half_life_steps
        self._sources = networks.copy()  # a plain dict: the networks belong to the game

    def train(self, mode: bool = True) -> Average:
        """Averages are for sampling: they stay in evaluation mode."""
        super().train(False)
        return self

    def decay(self, images_seen: int, images: int) -> float:
        """b for an iteration that showed ``images`` after ``images_seen``."""
        if images_seen < 1000 * self.start_kimg:
            return 0.0
        half_life = 1000 * self.half_life_kimg if self.half_life_steps is None else images * self.half_life_steps
        if self.ramp_up is not None:
            half_life = min(half_life, images_seen * self.ramp_up)
        return 0.5 ** (images / half_life) if half_life > 0 else 0.0

    @torch.no_grad()
    def follow(self, images_seen: int, images: int) -> None:
        """Move towards the networks as they are after an iteration."""
        averages, sources, copies, originals = self._tensors()
        decay = self.decay(images_seen, images)
        if averages and decay > 0:
            torch._foreach_lerp_(averages, sources, 1 - decay)
        elif averages:
            torch._foreach_copy_(averages, sources)
        if copies:
            torch._foreach_copy_(copies, originals)

    @torch.no_grad()
    def restart(self) -> None:
        """Copy the networks as they are."""
        averages, sources, copies, originals = self._tensors()
        torch._foreach_copy_([*averages, *copies], [*sources, *originals])

    def _apply(self, fn: Any, recurse: bool = True) -> Average:
        self._lists = None  # buffers get new tensors when a module is moved
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _tensors(self) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Return pairs of lists, averages and their sources, copies and their sources; they are found once."""
        if self._lists is None:
            averages, sources, copies, originals = self._lists = [], [], [], []
            for name, source in self._sources.items():
                for (key, mine), (_, theirs) in zip(_named(self[name]), _named(source), strict=True):
                    averaged = isinstance(mine, nn.Parameter) or key.rpartition(".")[2] in AVERAGED_BUFFERS
                    (averages if averaged else copies).append(mine)
                    (sources if averaged else originals).append(theirs)
        return self._lists


def _named(module: nn.Module) -> Iterable[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
