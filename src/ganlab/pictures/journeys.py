"""Paths from one seed or projected image to the next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.pictures import latent_space, projection
from ganlab.pictures.latent_space import chosen_classes, interpolate
from ganlab.runs.sampler import Sampler
from ganlab.sampling import generation, styles
from ganlab.sampling.styles import Style


def of_seeds(
    run: Sampler, seeds: Sequence[int], labels: int | Sequence[int] | None, truncation: float | None
) -> tuple[str, Tensor, Tensor | None]:
    """Return the space, the codes and the classes of the first image of each seed.

    Raises:
        GanlabError: If ``labels`` or ``truncation`` do not fit.
    """
    prior = run.prior(truncation)
    z = torch.cat([generation.latents(prior, seed, 1, run.generator.latent_dim) for seed in seeds])
    if labels is None and run.num_classes:
        y: Tensor | None = torch.cat([generation.labels(seed, 1, run.num_classes) for seed in seeds])
    else:
        y = chosen_classes(run, labels, len(seeds), 0)
    if styles.has_styles(run.generator):
        return "w", styles.in_w(run.generator, z, y), y
    return "z", z, y


def between(
    run: Sampler, space: str, codes: Tensor, labels: Tensor | None, steps: int, path: str, style: Style | None
) -> Tensor:
    """Return images ((N − 1)·steps, C, H, W): from each of N codes to the next.

    In w and w+ the way is linear, and w has the class in it. In z it is ``path``; classes are interpolated where the
    generator embeds them, and change half way where not.

    Raises:
        GanlabError: If there are fewer than two codes.
    """
    if len(codes) < 2:
        raise GanlabError(f"A path goes between two ends at least, got {len(codes)}: give more seeds or images.")
    generator = run.generator
    flat = codes.flatten(1)
    way = interpolate(flat[:-1], flat[1:], steps, path if space == "z" else "linear").flatten(0, 1)
    way = way.unflatten(1, codes.shape[1:])  # ((N − 1)·steps, ...)
    if space != "z":
        how = style or Style(noise="fixed")
        ws = way if space == "w+" else styles.layers_of(generator, way, how)
        return generation.generate(styles.OfStyles(generator), ws, None, style=how)
    if labels is None:
        return generation.generate(generator, way, None, style=style)
    if hasattr(generator, "embed") and hasattr(generator, "synthesize"):
        with torch.no_grad():
            embedded = generator.embed(labels.to(next(generator.parameters()).device))
        if embedded is not None and embedded.is_floating_point():
            c = interpolate(embedded[:-1].cpu(), embedded[1:].cpu(), steps, "linear").flatten(0, 1)
            return generation.generate(latent_space.OfEmbedded(generator), way, c)
    late = torch.arange(steps) >= steps / 2
    y = torch.where(late, labels[1:, None], labels[:-1, None]).flatten()
    return generation.generate(generator, way, y, style=style)


def of_images(
    run: Sampler, path: str, count: int, labels: int | Sequence[int] | None, options: projection.Options
) -> tuple[str, Tensor, Tensor | None]:
    """Return the space, the codes and the classes of projected images.

    Args:
        path: A folder of images, or the .npz of an earlier projection.

    Raises:
        GanlabError: As `ganlab.pictures.projection.of_folder` and `load`.
    """
    if path.endswith(".npz"):
        return projection.load(run, path)
    found = projection.of_folder(run, path, count, labels, options)[-1]
    return found.space, found.codes, found.labels
