"""Pictures of a latent space: interpolations, rows by truncation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.core.errors import GanlabError, one_of
from ganlab.runs.sampler import Sampler
from ganlab.runs.standing import standing
from ganlab.sampling import generation
from ganlab.sampling.styles import Style

PATHS = ("linear", "spherical")
ENDS = ("latents", "classes")


def interpolate(start: Tensor, end: Tensor, steps: int, path: str = "spherical") -> Tensor:
    """Return points (N, steps, D) from ``start`` to ``end``, both (N, D), ends included.

    linear: (1-t)·a + t·b        spherical: (sin((1-t)ω)·a + sin(tω)·b) / sin ω, ω the angle between a and b

    Source: Shoemake 1985; for latents White 2016 (arXiv:1609.04468). Where ω is 0 or π the path is linear.
    """
    one_of(path, PATHS, "path")
    t = torch.linspace(0, 1, steps, dtype=torch.float64)[None, :, None]
    a, b = start.double()[:, None], end.double()[:, None]
    line = (1 - t) * a + t * b
    if path == "linear":
        return line.to(start.dtype)
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=2)[..., None].clamp(-1, 1)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    arc = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / sine.clamp_min(1e-9)
    return torch.where(sine < 1e-6, line, arc).to(start.dtype)


def interpolation(
    run: Sampler,
    rows: int = 8,
    steps: int = 8,
    *,
    between: str = "latents",
    path: str = "spherical",
    labels: int | Sequence[int] | None = None,
    truncation: float | None = None,
    seed: int = 0,
    style: Style | None = None,
) -> Tensor:
    """Return images (rows·steps, C, H, W). A row goes from one latent or, at fixed z, from one class to another.

    Args:
        run: The run.
        rows: How many paths.
        steps: Images of each, both ends included; at least 2.
        between: ``latents``: row i has the latents 2i and 2i + 1 of the seed at its ends, and one class;
            ``classes``: row i has latent i, and goes from class i to class i + 1 of ``labels``, the last to the
            first; what the generator embeds is interpolated.
        path: ``linear`` or ``spherical``; classes are always interpolated linearly.
        labels: One class, several, or None: drawn by the seed.
        truncation: As in `Run.sample`.
        seed: Of latents and classes.
        style: Of a generator with a w space; see `style_pictures.between_styles` for paths in w itself.

    Raises:
        GanlabError: If an argument is out of range or the generator has nothing to interpolate between.
    """
    for name, choice, allowed in (("between", between, ENDS), ("path", path, PATHS)):
        try:
            one_of(choice, allowed, name)
        except ValueError as error:
            raise GanlabError(str(error)) from error
    if steps < 2 or rows < 1:
        raise GanlabError(f"An interpolation needs at least 2 steps and 1 row, got {steps} and {rows}.")
    prior = run.prior(truncation)
    if between == "latents":
        ends = generation.latents(prior, seed, 2 * rows, run.generator.latent_dim)
        z = interpolate(ends[0::2], ends[1::2], steps, path).flatten(0, 1)  # (rows·steps, Z)
        y = chosen_classes(run, labels, rows, seed)
        y = None if y is None else y.repeat_interleave(steps)
        return generation.generate(run.generator, z, y, seed=seed, style=style)
    if labels is not None and len({labels} if isinstance(labels, int) else {*labels}) == 1 and run.num_classes:
        raise GanlabError(f"between=classes needs at least two classes, got labels={labels}: give several, or none.")
    y = chosen_classes(run, labels, rows + (labels is None), seed)
    embedded = _embedded(run, y)
    following = embedded.roll(-1, 0) if labels is not None else embedded[1:]
    c = interpolate(embedded[:rows], following[:rows], steps, "linear").flatten(0, 1)  # (rows·steps, shared)
    z = generation.latents(prior, seed, rows, run.generator.latent_dim).repeat_interleave(steps, 0)
    return generation.generate(OfEmbedded(run.generator), z, c)


def by_truncation(
    run: Sampler,
    thresholds: Sequence[float],
    columns: int = 8,
    *,
    labels: int | Sequence[int] | None = None,
    seed: int = 0,
    passes: int | None = None,
    style: Style | None = None,
) -> Tensor:
    """Return images (len(thresholds)·columns, C, H, W), a row for each truncation. A column has one class and number.

    Args:
        passes: Of standing statistics, made for each threshold by itself; None: the running statistics.
        style: Of a generator with a w space; see `style_pictures.by_psi` for truncation in w itself.

    Raises:
        GanlabError: If a threshold is not positive.
    """
    images = []
    y = chosen_classes(run, labels, columns, seed)
    for threshold in thresholds:
        with standing(run, passes, threshold, seed):
            z = generation.latents(run.prior(threshold), seed, columns, run.generator.latent_dim)
            images.append(generation.generate(run.generator, z, y, seed=seed, style=style))
    return torch.cat(images)


class OfEmbedded(nn.Module):
    """A generator whose labels are already embedded."""

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, embedded: Tensor) -> Tensor:
        images: Tensor = self.generator.synthesize(z, embedded)
        return images


def _embedded(run: Sampler, y: Tensor | None) -> Tensor:
    generator = run.generator
    if y is None:
        raise GanlabError("between=classes needs classes, and the model has none: take between=latents.")
    if not hasattr(generator, "embed") or not hasattr(generator, "synthesize"):
        raise GanlabError(
            f"between=classes needs a generator that embeds its classes, and {run.family} "
            f"has a table for each layer: take between=latents."
        )
    with torch.no_grad():
        embedded = generator.embed(y.to(next(generator.parameters()).device))
    if embedded is None or not embedded.is_floating_point():
        raise GanlabError("between=classes needs a shared embedding, and the model has none: take between=latents.")
    return embedded.cpu()


def latents_of(run: Sampler, truncation: float | None, seed: int, count: int) -> Tensor:
    """Return the first ``count`` latents of a seed.

    Raises:
        GanlabError: If ``truncation`` is not positive.
    """
    return generation.latents(run.prior(truncation), seed, count, run.generator.latent_dim)


def chosen_classes(run: Sampler, labels: int | Sequence[int] | None, count: int, seed: int) -> Tensor | None:
    """Return one class for each of ``count`` images; a shorter list is repeated."""
    if isinstance(labels, Sequence) and labels:
        labels = [labels[i % len(labels)] for i in range(count)]
    return run.labels(labels, count, seed)
