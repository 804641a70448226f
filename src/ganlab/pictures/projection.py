"""Projection: latents whose images are those of a folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.data.progress import Progress
from ganlab.evaluation import protocol
from ganlab.pictures.optimized_noise import OptimizedNoise
from ganlab.pictures.reconstruction import read_folder
from ganlab.runs.sampler import Sampler
from ganlab.sampling import generation, styles

SPACES = ("z", "w", "w+")
RATE, RAMP_UP, RAMP_DOWN = 0.1, 0.05, 0.25  # of Adam's learning rate; shares of all iterations
NOISE, NOISE_RAMP = 0.05, 0.75  # of the noise on codes, in their own deviations
STATISTICS = 1000  # latents of the mean and deviation of w
CANDIDATES = 256  # latents of which the nearest image's is the start in z
BATCH = 64
FRAMES = 50  # of the path

Distance = Callable[[Tensor], Tensor]  # images (N, C, H, W) -> (N,)


@dataclass(frozen=True)
class Projected:
    """Codes of images in one space, and the images that they make.

    Args:
        space: ``z``, ``w`` or ``w+``.
        codes: (N, latent_dim), (N, w_dim) or (N, num_ws, w_dim).
        labels: Their classes, (N,), or None.
        images: (N, C, H, W), in [-1, 1].
        path: (frames, N, C, H, W): from the start on.
        targets: The images that were projected.
        noise: The numbers of the layers' noise that were found with the codes, (N, positions); None: the stored maps.
    """

    space: str
    codes: Tensor
    labels: Tensor | None
    images: Tensor
    path: Tensor
    targets: Tensor
    noise: Tensor | None = None

    @property
    def errors(self) -> Tensor:
        """The root mean square error of each image's pixels, in [-1, 1]."""
        return (self.images - self.targets).square().mean((1, 2, 3)).sqrt()


@dataclass(frozen=True)
class Options:
    """Options of a projection.

    Args:
        space: ``w``, ``w+`` or ``z``; None: w and w+ where there is a w space, or else z.
        iterations: Of the optimizer.
        features: The extractor of the distance; None: that of the protocol ``fast``; ``none``: pixels alone.
        seed: Of the noise on codes, of the first latents and of the layers' first noise.
        noise: ``optimized``, where layers have noise, or ``fixed``: the stored maps; None: optimized, or what an export
            has fixed.
    """

    space: str | None = None
    iterations: int = 500
    features: str | None = None
    seed: int = 0
    noise: str | None = None


def spaces_of(run: Sampler, space: str | None) -> list[str]:
    """Return the spaces to project into; None: w and w+ where there is a w space, or else z.

    Raises:
        GanlabError: If the generator has no such space.
    """
    if space is None:
        return ["w", "w+"] if styles.has_styles(run.generator) else ["z"]
    if space != "z":
        styles.refuse_without_styles(run.generator, run.family, f"space={space}")
    return [space]


def of_folder(
    run: Sampler,
    folder: str,
    count: int,
    labels: int | Sequence[int] | None = None,
    options: Options = Options(),
) -> list[Projected]:
    """Project the first images of a folder.

    Args:
        count: At most so many.
        labels: Of a conditional run: one class for all or one for each image; None: the folder's own classes.
        options: Of the projection.

    Raises:
        GanlabError: If the images do not fit, or the space or the features are not there.
    """
    spaces = spaces_of(run, options.space)
    noise = noise_of(run, options.noise)
    targets, own = read_folder(run, folder, count, exact=True)
    chosen = own if labels is None else labels
    if run.num_classes and chosen is None:
        raise GanlabError(
            f"The model has {run.num_classes} classes and {folder} has not: say which, one for all images or one for "
            f"each, as labels=0."
        )
    y = run.labels(chosen, len(targets), options.seed)
    distance = distance_to(targets, options.features)
    return [project(run, targets, y, each, distance, options.iterations, options.seed, noise) for each in spaces]


def noise_of(run: Sampler, noise: str | None) -> str:
    """Return where the layers' noise comes from: ``optimized``, ``fixed`` or, of an export, ``off``.

    Raises:
        GanlabError: If there is none, or an export has fixed another one.
    """
    if noise not in (None, "optimized", "fixed"):
        raise GanlabError(f"noise must be optimized or fixed for kind=projection, got {noise}.")
    if not styles.has_styles(run.generator):
        run.style(noise=noise)
        return "off"
    of_export = run.style(usual="random")
    assert of_export is not None
    if of_export.noise == "random":  # nothing is fixed
        return noise or "optimized"
    if noise is not None:
        run.style(noise=noise)
    return of_export.noise


def distance_to(targets: Tensor, features: str | None) -> Distance:
    """Return the distance of images to ``targets``: a mean over pixels, and over layers of a network.

    d = mean (x − t)² + mean over layers of the mean over positions of ‖f(x)/‖f(x)‖ − f(t)/‖f(t)‖‖²

    with f the channels of a layer at a position, as in LPIPS (Zhang et al. 2018, arXiv:1801.03924) without its learned
    weights.

    Raises:
        GanlabError: If the features have no maps, or their packages are not installed.
    """

    def of_pixels(images: Tensor) -> Tensor:
        return (images - targets).square().mean((1, 2, 3))

    if features == "none":
        return of_pixels
    chosen = protocol.preset("fast")
    if features is not None:
        chosen = chosen.changed({"features": features})
    extractor = chosen.make_extractor()
    extractor.prepare()
    wanted = [_unit(one) for one in extractor.maps((targets + 1) * 127.5)]

    def both(images: Tensor) -> Tensor:
        found = extractor.maps((images + 1) * 127.5)
        layers = [(_unit(x) - t).square().sum(1).mean((1, 2)) for x, t in zip(found, wanted, strict=True)]
        return of_pixels(images) + torch.stack(layers).mean(0)

    return both


def _unit(x: Tensor) -> Tensor:
    return x / x.square().sum(1, keepdim=True).add(1e-10).sqrt()


def project(
    run: Sampler,
    targets: Tensor,
    labels: Tensor | None,
    space: str,
    distance: Distance,
    iterations: int = 500,
    seed: int = 0,
    noise: str = "optimized",
) -> Projected:
    """Find the codes whose images are nearest to ``targets``, by Adam from the mean of w, or the nearest of some z.

    Rate at share t: 0.1·min(1, (1 − t)/0.25 as half a cosine)·min(1, t/0.05). Codes get noise of their deviation
    times 0.05·max(0, 1 − t/0.75)². The layers' noise is the fixed one, or is optimized with the codes: its penalty
    keeps the picture out of it, so that the codes have to make the picture, and it has what is random in it.

    Source: Karras et al. 2020 (arXiv:1912.04958), app. D; w+ as in Abdal et al. 2019 (arXiv:1904.03189).
    """
    stored = "fixed" if noise == "optimized" else noise
    start, deviation = _start(run, targets, labels, space, distance, seed, stored)
    code = start.clone().requires_grad_()
    random = torch.Generator().manual_seed(seed)
    maps = _noise(run, len(targets), random) if noise == "optimized" else None
    parameters = [code] if maps is None else [code, maps.numbers]
    optimizer = torch.optim.Adam(parameters, lr=RATE, betas=(0.9, 0.999))
    kept: list[Tensor] = []
    marks = {round(i * (iterations - 1) / (FRAMES - 1)) for i in range(FRAMES)}
    with Progress(f"projecting into {space}", iterations * len(targets)) as progress:
        for i in range(iterations):
            t = i / iterations
            down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / RAMP_DOWN))
            optimizer.param_groups[0]["lr"] = RATE * down * min(1.0, t / RAMP_UP)
            strength = NOISE * max(0.0, 1 - t / NOISE_RAMP) ** 2
            shift = deviation * strength * torch.randn(code.shape, generator=random)
            images = made(run, code + shift, labels, space, stored if maps is None else maps.numbers)
            loss = distance(images).sum() if maps is None else (distance(images) + maps.penalty()).sum()
            for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.grad = slope
            if i in marks:
                kept.append(images.detach())
            optimizer.step()
            if maps is not None:
                maps.normalize()
            progress.update(len(targets))
    with torch.no_grad():
        found = made(run, code, labels, space, stored if maps is None else maps.numbers)
    if not torch.isfinite(found).all():
        raise GanlabError("The projection has diverged: the generator makes NaN or infinite pixels.")
    path = torch.stack([*kept, found]).clamp(-1, 1)
    numbers = None if maps is None else maps.numbers.detach()
    return Projected(space, code.detach(), labels, found.clamp(-1, 1), path, targets, numbers)


def _noise(run: Sampler, count: int, random: torch.Generator) -> OptimizedNoise | None:
    """Return noise to optimize, or None where layers have none."""
    if not styles.has_styles(run.generator) or not run.generator.synthesis.noise_positions:
        return None
    return OptimizedNoise(run.generator.synthesis.noise_sizes, count, random)


def made(run: Sampler, codes: Tensor, labels: Tensor | None, space: str, noise: str | Tensor = "fixed") -> Tensor:
    """Images of codes, with gradients; ``noise`` is that of layers, as of their synthesis network."""
    generator = run.generator
    parameter = next(generator.parameters())
    codes = codes.to(parameter.device, parameter.dtype)
    y = None if labels is None else labels.to(parameter.device)
    if isinstance(noise, Tensor):
        noise = noise.to(parameter.device, parameter.dtype)
    if space == "z":
        options: dict[str, Any] = {"noise": noise} if styles.has_styles(generator) else {}
        images: Tensor = generator(codes, y, **options)
    else:
        ws = codes if space == "w+" else generator.styles(codes)
        images = generator.synthesis(ws, noise)
    return images.float().cpu()


@torch.no_grad()
def _start(
    run: Sampler, targets: Tensor, labels: Tensor | None, space: str, distance: Distance, seed: int, noise: str
) -> tuple[Tensor, Tensor]:
    """Return first codes, and the deviation of codes."""
    generator, prior = run.generator, run.prior(None)
    if space != "z":
        z = generation.latents(prior, seed, STATISTICS, generator.latent_dim)
        each = []
        for label in [None] * len(targets) if labels is None else labels:
            y = None if label is None else label.expand(STATISTICS)
            each.append(styles.in_w(generator, z, y))
        w = torch.stack(each)  # (N, STATISTICS, w_dim)
        mean = w.mean(1, keepdim=True)
        deviation = (w - mean).square().sum(2).mean(1).sqrt()[:, None]  # (N, 1)
        codes = mean[:, 0]
        if space == "w+":
            return codes[:, None].repeat(1, generator.num_ws, 1), deviation[:, None]
        return codes, deviation
    z = generation.latents(prior, seed, CANDIDATES, generator.latent_dim)
    far = []
    for candidate in z:
        images = made(run, candidate.expand(len(targets), -1), labels, "z", noise)
        far.append(distance(images))
    nearest = torch.stack(far).argmin(0)
    return z[nearest], z.std().expand(1)


def save(found: Sequence[Projected], path: Path) -> None:
    """Write codes as arrays by the names of their spaces, ``noise_`` and the name for noise that was found with them,
    and ``labels`` where there are classes."""
    arrays: dict[str, Any] = {each.space: each.codes.numpy() for each in found}
    arrays |= {f"noise_{each.space}": each.noise.numpy() for each in found if each.noise is not None}
    if found[0].labels is not None:
        arrays["labels"] = found[0].labels.numpy()
    with files.whole(path) as file:
        np.savez(file, **arrays)


def load(run: Sampler, path: str | Path) -> tuple[str, Tensor, Tensor | None]:
    """Read the last space of a file that `save` wrote: its name, codes and classes.

    Raises:
        GanlabError: If it is none, or does not fit the generator.
    """
    generator = run.generator
    shapes: Mapping[str, tuple[int, ...]] = {"z": (generator.latent_dim,)}
    if styles.has_styles(generator):
        shapes = {"w+": (generator.num_ws, generator.w_dim), "w": (generator.w_dim,), **shapes}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise GanlabError(f"images={path} has no codes of a projection: it cannot be read as .npz.") from error
    for space, shape in shapes.items():
        if space in arrays and tuple(arrays[space].shape[1:]) == shape:
            labels = arrays.get("labels")
            return space, arrays[space].float(), run.labels(labels, len(arrays[space]), 0)
    raise GanlabError(f"images={path} has no codes that fit {run.family}: project the images with this run.")
