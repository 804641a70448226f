"""Standing statistics: batch norm of a trained generator with averages over fresh passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.layers.norm import BatchNorm, standing_statistics
from ganlab.runs.sampler import Sampler
from ganlab.sampling import generation

BATCH = 64
START = 10**9  # samples are numbered from 0 on, latents of standing statistics from here


@contextmanager
def standing(run: Sampler, passes: int | None, truncation: float | None = None, seed: int = 0) -> Iterator[None]:
    """Give the averaged generator the statistics of ``passes`` passes at this truncation while the block runs.

    They are kept for next time.

    Each pass has fresh latents and classes. Source: Brock et al. 2019 (arXiv:1809.11096), app. B.

    Raises:
        GanlabError: If the generator has no batch norm.
    """
    if passes is None:
        yield
        return
    layers = [layer for layer in run.generator.modules() if isinstance(layer, BatchNorm)]
    if not layers:
        raise GanlabError(
            "The generator has no batch norm, so it has no standing statistics: leave standing_statistics out."
        )
    before = [_statistics(layer) for layer in layers]
    kept = run.standing
    key = (passes, truncation, seed)
    try:
        if key not in kept:
            _make(run, passes, truncation, seed)
            kept[key] = [_statistics(layer) for layer in layers]
        for layer, found in zip(layers, kept[key], strict=True):
            _set(layer, found)
        yield
    finally:
        for layer, found in zip(layers, before, strict=True):
            _set(layer, found)


def _make(run: Sampler, passes: int, truncation: float | None, seed: int) -> None:
    prior, device = run.prior(truncation), next(run.generator.parameters()).device
    with standing_statistics(run.generator):
        for number in range(passes):
            start = START + number * BATCH
            z = generation.latents(prior, seed, BATCH, run.generator.latent_dim, start)
            y = None
            if run.num_classes:
                random = torch.Generator().manual_seed(start + seed)
                y = torch.randint(run.num_classes, (BATCH,), generator=random).to(device)
            run.generator(z.to(device), y)


def _statistics(layer: BatchNorm) -> tuple[Tensor, ...]:
    return tuple(t.clone() for t in (layer.running_mean, layer.running_var, layer.num_batches_tracked))


def _set(layer: BatchNorm, found: tuple[Tensor, ...]) -> None:
    for tensor, value in zip((layer.running_mean, layer.running_var, layer.num_batches_tracked), found, strict=True):
        tensor.copy_(value)
