"""Pictures of a w space: style mixing, interpolation between styles, rows by ψ."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.pictures.latent_space import chosen_classes, latents_of
from ganlab.runs.sampler import Sampler
from ganlab.sampling import generation, styles

Ranges = Sequence[Sequence[int]]


def mixing(
    run: Sampler,
    columns: int = 6,
    rows: int = 2,
    *,
    layers: Ranges | None = None,
    labels: int | Sequence[int] | None = None,
    truncation: float | None = None,
    seed: int = 0,
    psi: float | None = None,
    cutoff: int | None = None,
    noise: str = "fixed",
) -> tuple[Tensor, int, list[str]]:
    """Return the images of a style-mixing grid, its number of columns, and a name for each row: its layers.

    The first row shows ``columns`` sources. Below, for each range of layers, from coarse to fine, come ``rows``
    images, first of their row, and beside each itself with the source's styles in these layers. The corner is white.

    Source: Karras et al. 2019 (arXiv:1812.04948), fig. 3.

    Args:
        run: A run whose generator has a w space.
        columns: Sources.
        rows: Images for each range of layers.
        layers: Ranges [from, to) of layers; None: as published, 4 and 8 pixels, 16 and 32, and the rest, and fewer
            where the network has fewer.
        labels: One class, several, or None: drawn by the seed.
        truncation, seed: As in `Run.sample`. The sources are the first ``columns`` latents of the seed.
        psi, cutoff, noise: See `ganlab.sampling.styles.Style`.

    Raises:
        GanlabError: If the generator has no w space, or an argument is out of range.
    """
    generator, family = run.generator, run.family
    styles.refuse_without_styles(generator, family, "kind=mixing")
    in_use = generator.num_ws_at(generator.level)
    ranges = thirds(in_use) if layers is None else layers
    for pair in ranges:
        if len(pair) != 2 or not 0 <= pair[0] < pair[1] <= in_use:
            raise GanlabError(
                f"layers must be ranges [from,to] within 0 to {in_use}, the layers in use, got {list(pair)}."
            )
    how = styles.style(generator, family, psi, cutoff, noise)
    assert how is not None
    count = columns + rows * len(ranges)
    z = latents_of(run, truncation, seed, count)
    w = styles.in_w(generator, z, chosen_classes(run, labels, count, seed))
    ws = styles.layers_of(generator, w, how)
    sources, others = ws[:columns], ws[columns:]
    mixed = others[:, None].repeat(1, columns + 1, 1, 1)  # (row, column, layer, w); the first column is itself
    for number, (first, last) in enumerate(ranges):
        mixed[number * rows : (number + 1) * rows, 1:, first:last] = sources[:, first:last]
    images = generation.generate(styles.OfStyles(generator), torch.cat([sources, mixed.flatten(0, 1)]), None,
                               seed=seed, style=how)  # fmt: skip
    names = [f"layers {first} to {last - 1}" for first, last in ranges for _ in range(rows)]
    return torch.cat([torch.ones_like(images[:1]), images]), columns + 1, ["", *names]


def thirds(layers: int) -> list[tuple[int, int]]:
    """Coarse, middle and fine layers: two levels of two layers each as published, and one each in a small network."""
    each = 4 if layers >= 12 else 2
    edges = [0, each, 2 * each, layers]
    return [(first, last) for first, last in pairwise(edges) if first < last <= layers]


def between_styles(
    run: Sampler,
    rows: int = 8,
    steps: int = 8,
    *,
    labels: int | Sequence[int] | None = None,
    truncation: float | None = None,
    seed: int = 0,
    psi: float | None = None,
    cutoff: int | None = None,
    noise: str = "fixed",
) -> Tensor:
    """Return images (rows·steps, C, H, W). Row i goes from the w of latent 2i to that of latent 2i + 1, linearly.

    Raises:
        GanlabError: If the generator has no w space, or an argument is out of range.
    """
    generator, family = run.generator, run.family
    styles.refuse_without_styles(generator, family, "between=w")
    how = styles.style(generator, family, psi, cutoff, noise)
    assert how is not None
    y = chosen_classes(run, labels, rows, seed)
    z = latents_of(run, truncation, seed, 2 * rows)
    w = styles.in_w(generator, z, None if y is None else y.repeat_interleave(2))
    t = torch.linspace(0, 1, steps)[:, None]
    path = torch.lerp(w[0::2, None], w[1::2, None], t).flatten(0, 1)  # (row·step, w)
    return generation.generate(styles.OfStyles(generator), styles.layers_of(generator, path, how), None,
                             seed=seed, style=how)  # fmt: skip


def by_psi(
    run: Sampler,
    psis: Sequence[float],
    columns: int = 8,
    *,
    labels: int | Sequence[int] | None = None,
    seed: int = 0,
    cutoff: int | None = None,
    noise: str = "fixed",
) -> Tensor:
    """Return images (len(psis)·columns, C, H, W), a row for each ψ. A column has the same latent and class.

    Source: Karras et al. 2019 (arXiv:1812.04948), fig. 8.

    Raises:
        GanlabError: If the generator has no w space, or an argument is out of range.
    """
    generator, family = run.generator, run.family
    styles.refuse_without_styles(generator, family, "psis")
    y, z = chosen_classes(run, labels, columns, seed), latents_of(run, None, seed, columns)
    w = styles.in_w(generator, z, y)
    images = []
    for psi in psis:
        how = styles.style(generator, family, psi, cutoff, noise)
        assert how is not None
        ws = styles.layers_of(generator, w, how)
        images.append(generation.generate(styles.OfStyles(generator), ws, None, seed=seed, style=how))
    return torch.cat(images)
