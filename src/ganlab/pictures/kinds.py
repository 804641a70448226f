"""The pictures of `ganlab sample`, by kind: images, the number of columns, and a name for each row."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from ganlab.core.errors import GanlabError
from ganlab.pictures import export, journeys, latent_space, projection, reconstruction, style_space
from ganlab.runs.sampler import Sampler
from ganlab.runs.standing import standing
from ganlab.sampling import captions, generation, styles

THRESHOLDS = [2.0, 1.0, 0.5, 0.04]
PSIS = [1.0, 0.7, 0.5, 0.0, -0.5, -1.0]
Picture = tuple[Any, int, list[str]]  # images, the number of columns, and a name for each row


def export_samples(run: Sampler, out: Path, chosen: Mapping[str, Any]) -> None:
    """Write the images of kind=grid one by one: to an .npz, or into a folder."""
    options = {key: chosen[key] for key in ("truncation", "seed", "psi", "cutoff", "noise")}
    about = {
        "run": str(run.folder),
        "checkpoint": run.checkpoint.name,
        "iteration": run.iteration,
        **options,
        "class_names": list(run.class_names),
    }
    labels, _ = _labels(run, chosen)

    def images(start: int, stop: int) -> Any:
        return run.sample(stop - start, labels(start, stop), start=start, **options)

    samples = export.Samples(images, labels, chosen["count"], run.num_classes, chosen["start"], about)
    with standing(run, chosen["standing_statistics"], chosen["truncation"], chosen["seed"]):
        if out.suffix.lower() == ".npz":
            export.write_npz(samples, out)
        else:
            export.write_folder(samples, out)


def _labels(run: Sampler, chosen: Mapping[str, Any]) -> tuple[Callable[[int, int], list[int] | None], bool]:
    """Return the classes of images ``start`` to ``stop`` of a grid, and True if it has a row for each class."""
    labels, first = chosen["labels"], chosen["start"]
    if labels is None and not run.num_classes:
        return lambda start, stop: None, False
    if isinstance(labels, int):
        return lambda start, stop: [labels] * (stop - start), False
    if labels is not None and len(labels) == chosen["count"]:
        return lambda start, stop: labels[start - first : stop - first], False
    classes = range(run.num_classes) if labels is None else labels
    return lambda start, stop: generation.in_turn(classes, start, stop), True


def of_grid(run: Sampler, count: int, chosen: Mapping[str, Any]) -> tuple[Any, list[int] | None]:
    """Return the samples of a grid, and the class of each."""
    labels, _ = _labels(run, chosen)
    of_images = labels(chosen["start"], chosen["start"] + count)
    options = {key: chosen[key] for key in ("truncation", "seed", "start", "psi", "cutoff", "noise")}
    with standing(run, chosen["standing_statistics"], chosen["truncation"], chosen["seed"]):
        return run.sample(count, of_images, **options), of_images


def _grid(run: Sampler, count: int, chosen: Mapping[str, Any]) -> Picture:
    _, by_class = _labels(run, chosen)
    images, of_images = of_grid(run, count, chosen)
    if by_class and chosen["columns"] is None:
        assert of_images is not None
        images, columns, classes = generation.rows(images, of_images)
        return images, columns, captions.of_classes(classes, run.class_names)
    return images, chosen["columns"] or math.ceil(math.sqrt(count)), []


def _interpolation(run: Sampler, count: int, chosen: Mapping[str, Any]) -> Picture:
    common = {key: chosen[key] for key in ("labels", "truncation", "seed")}
    if chosen["between"] in ("seeds", "images"):
        return _journey(run, count, chosen)
    if chosen["between"] == "w":
        if chosen["path"] != "spherical":
            raise GanlabError("path goes with between=latents: from w to w the path is linear.")
        images = style_space.between_styles(run, count, chosen["steps"], **common, **_in_w(chosen))
        return images, chosen["steps"], _names_of_rows(run, count, chosen)
    style = run.style(chosen["psi"], chosen["cutoff"], chosen["noise"], usual="fixed")
    with standing(run, chosen["standing_statistics"], chosen["truncation"], chosen["seed"]):
        images = latent_space.interpolation(
            run, count, chosen["steps"], between=chosen["between"], path=chosen["path"], style=style, **common
        )
    return images, chosen["steps"], _names_of_rows(run, count, chosen)


def _journey(run: Sampler, count: int, chosen: Mapping[str, Any]) -> Picture:
    style = run.style(chosen["psi"], chosen["cutoff"], chosen["noise"], usual="fixed")
    if chosen["between"] == "seeds":
        space, codes, labels = journeys.of_seeds(run, chosen["seeds"], chosen["labels"], chosen["truncation"])
        ends = [f"seed {seed}" for seed in chosen["seeds"]]
    else:
        space, codes, labels = journeys.of_images(run, chosen["images"], count, chosen["labels"], _projecting(chosen))
        ends = [f"image {i}" for i in range(len(codes))]
    with standing(run, chosen["standing_statistics"], chosen["truncation"], chosen["seed"]):
        images = journeys.between(run, space, codes, labels, chosen["steps"], chosen["path"], style)
    return images, chosen["steps"], [f"{a} to {b}" for a, b in pairwise(ends)]


def _projection(run: Sampler, count: int, chosen: Mapping[str, Any]) -> Picture:
    """Show each image beside what its codes make, or, of a moving picture, the path there; keep the codes."""
    options = dataclasses.replace(_projecting(chosen), noise=chosen["noise"])
    found = projection.of_folder(run, chosen["images"], count, chosen["labels"], options)
    for each in found:
        errors = ", ".join(f"{error:.3f}" for error in each.errors[:8].tolist())
        print(f"{each.space}: root mean square error of pixels, of a range of 2: {errors}")
    projection.save(found, Path(chosen["out"]).with_suffix(".npz"))
    targets, last = found[0].targets, found[-1]
    if chosen["moving"]:
        still = targets[:, None].expand(-1, len(last.path), -1, -1, -1)
        both = torch.stack([still, last.path.transpose(0, 1)], 1)  # (N, 2, frames, C, H, W)
        return both.flatten(0, 2), len(last.path), [""] * 2 * len(targets)
    together = torch.stack([targets, *(each.images for each in found)])  # rows: images, w, w+
    return together.flatten(0, 1), len(targets), ["image", *(each.space for each in found)]


def _projecting(chosen: Mapping[str, Any]) -> projection.Options:
    return projection.Options(chosen["space"], chosen["iterations"], chosen["features"], chosen["seed"])


def _names_of_rows(run: Sampler, count: int, chosen: Mapping[str, Any]) -> list[str]:
    """Return the names of the rows of an interpolation: one class each, or two."""
    several = chosen["between"] == "classes" and chosen["labels"] is None
    y = latent_space.chosen_classes(run, chosen["labels"], count + several, chosen["seed"])
    if y is None:
        return []
    names = captions.of_classes(y.tolist(), run.class_names)
    if chosen["between"] != "classes":
        return names
    return [f"{a} to {b}" for a, b in zip(names[:count], [*names[1:], names[0]], strict=False)]


def _truncation(run: Sampler, count: int, chosen: Mapping[str, Any]) -> Picture:
    common = {key: chosen[key] for key in ("labels", "seed")}
    passes = chosen["standing_statistics"]
    if chosen["psis"] and chosen["thresholds"]:
        raise GanlabError(
            "kind=truncation has rows by psis (in w) or by thresholds (of latents): leave one of them out."
        )
    if chosen["psis"] or (styles.has_styles(run.generator) and not chosen["thresholds"]):
        options = {key: value for key, value in _in_w(chosen).items() if key != "psi"}
        with standing(run, passes):
            psis = chosen["psis"] or PSIS
            return style_space.by_psi(run, psis, count, **common, **options), count, [f"psi {psi:g}" for psi in psis]
    thresholds = chosen["thresholds"] or THRESHOLDS
    style = run.style(None, chosen["cutoff"], chosen["noise"], usual="fixed")
    images = latent_space.by_truncation(run, thresholds, count, passes=passes, style=style, **common)
    return images, count, [f"|z| < {threshold:g}" for threshold in thresholds]


def _mixing(run: Sampler, count: int, chosen: Mapping[str, Any]) -> Picture:
    options = {key: chosen[key] for key in ("layers", "labels", "truncation", "seed")}
    return style_space.mixing(run, count, chosen["rows"], **options, **_in_w(chosen))


def _reconstruction(run: Sampler, count: int, chosen: Mapping[str, Any]) -> Picture:
    return *reconstruction.pairs(run, chosen["images"], count, chosen["labels"]), []


def _in_w(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Make the style of a picture of w space, with the same noise in every image unless the user says otherwise."""
    return {**{key: chosen[key] for key in ("psi", "cutoff")}, "noise": chosen["noise"] or "fixed"}


MAKERS: Mapping[str, Callable[[Sampler, int, Mapping[str, Any]], Picture]] = {
    "grid": _grid,
    "interpolation": _interpolation,
    "truncation": _truncation,
    "mixing": _mixing,
    "reconstruction": _reconstruction,
    "projection": _projection,
}
