"""``ganlab sample RUN``: a grid of images from a trained generator."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganlab.core.errors import GanlabError, one_of, suggestion

HELP = """ganlab sample RUN [key=value ...]

  kind=grid         or interpolation: rows from one latent or class to another; or truncation: rows by threshold or psi;
                    or mixing: styles of the first row's images in coarse, middle and fine layers of others;
                    or reconstruction: images of a folder beside what encoder and generator make of them
  count=null        images of a grid, 64; otherwise rows (interpolation), 8, or columns (truncation, 8; mixing, 6)
  images=null       folder of kind=reconstruction: its first images, at most count of them, 32
  labels=null       a class, a list of classes [0,1,2], or null: all classes, in a grid one row a class
  truncation=null   latents given that no |z_i| exceeds this; null: the whole prior
  seed=0            image i depends on (seed, i) and its class alone
  start=0           number of a grid's first image: count=1 start=17 is image 17
  columns=null      of a grid
  steps=8           images of a row of an interpolation
  between=latents   or classes: what an interpolation goes between, the other one is fixed; or w: from w to w
  path=spherical    or linear: how latents are interpolated
  thresholds=null   rows of kind=truncation, where latents are truncated: [2.0,1.0,0.5,0.04]
  standing_statistics=null         passes that batch statistics are averaged over, for each truncation
for generators with a w space, such as stylegan:
  psi=null          truncation in w: w_avg + psi*(w - w_avg)
  cutoff=null       how many layers psi truncates, from the first on; null: all
  psis=null         rows of kind=truncation: [1.0,0.7,0.5,0.0,-0.5,-1.0]
  noise=null        random (the rule in a grid), fixed (the rule elsewhere: the same in every image) or off
  layers=null       ranges of layers that kind=mixing exchanges, as [[0,4],[4,8]]; null: coarse, middle and fine ones
  rows=2            of kind=mixing, for each range of layers

  checkpoint=last   best, an iteration, or the name or path of a file; RUN may be such a file itself
  device=auto       cpu, cuda, cuda:1, mps; auto: a GPU if there is one
  out=null          PNG file, or .webp for a moving interpolation; null: RUN/samples/sample_seedN.png
"""
DEFAULTS: dict[str, Any] = {
    "kind": "grid",
    "count": None,
    "labels": None,
    "truncation": None,
    "seed": 0,
    "start": 0,
    "columns": None,
    "steps": 8,
    "between": "latents",
    "path": "spherical",
    "thresholds": None,
    "standing_statistics": None,
    "psi": None,
    "cutoff": None,
    "psis": None,
    "noise": None,
    "layers": None,
    "rows": 2,
    "images": None,
    "checkpoint": "last",
    "device": "auto",
    "out": None,
}
KINDS = {  # what belongs to one kind only
    "grid": ("start", "columns", "truncation", "psi", "standing_statistics"),
    "interpolation": ("steps", "between", "path", "truncation", "psi", "standing_statistics"),
    "truncation": ("thresholds", "psis", "standing_statistics"),
    "mixing": ("layers", "rows", "truncation", "psi"),
    "reconstruction": ("images",),
}
COUNTS = {"grid": 64, "interpolation": 8, "truncation": 8, "mixing": 6, "reconstruction": 32}
THRESHOLDS = [2.0, 1.0, 0.5, 0.04]
PSIS = [1.0, 0.7, 0.5, 0.0, -0.5, -1.0]


def run(words: Sequence[str], options: Sequence[str], flags: Sequence[str]) -> int:
    if len(words) != 1:
        raise GanlabError(f"`ganlab sample` takes one run folder, got {len(words)}: ganlab sample RUN [key=value ...].")
    from ganlab.config import compose
    from ganlab.runs import choice

    choice.named(words[0])
    chosen = dict(DEFAULTS)
    for override in compose.parse(options):
        key = override.get_key_element()
        if key not in DEFAULTS:
            raise GanlabError(
                f"`ganlab sample` has no option {key!r}.{suggestion(key, DEFAULTS)} Options: {', '.join(DEFAULTS)}."
            )
        if override.is_sweep_override():
            raise GanlabError(f"{override.input_line} has several values: a list is written {key}=[A,B].")
        chosen[key] = override.value()
    _check(chosen)
    own = {key for keys in KINDS.values() for key in keys}
    for key in own - set(KINDS[chosen["kind"]]):
        if chosen[key] != DEFAULTS[key]:
            fitting = [kind for kind, keys in KINDS.items() if key in keys]
            raise GanlabError(f"{key} goes with kind={' or '.join(fitting)}, not with kind={chosen['kind']}.")
    return _sample(words[0], chosen)


def _check(chosen: dict[str, Any]) -> None:
    from ganlab.config import schema

    kinds = {
        "kind": str,
        "count": int | None,
        "labels": int | list[int] | None,
        "truncation": float | None,
        "seed": int,
        "start": int,
        "columns": int | None,
        "steps": int,
        "between": str,
        "path": str,
        "thresholds": list[float] | None,
        "standing_statistics": int | None,
        "psi": float | None,
        "cutoff": int | None,
        "psis": list[float] | None,
        "noise": str | None,
        "layers": list[list[int]] | None,
        "rows": int,
        "images": str | None,
        "checkpoint": int | str,
        "device": str,
        "out": str | None,
    }
    for key, annotation in kinds.items():
        try:
            chosen[key] = schema.convert(chosen[key], annotation)
        except ValueError as error:
            raise GanlabError(f"{key} {error}.") from error
    try:
        one_of(chosen["kind"], KINDS, "kind")
        one_of(chosen["between"], ("latents", "classes", "w"), "between")
    except ValueError as error:
        raise GanlabError(str(error)) from error
    chosen["count"] = COUNTS[chosen["kind"]] if chosen["count"] is None else chosen["count"]
    if chosen["labels"] == []:
        raise GanlabError("labels must hold at least one class, got [].")
    for key in ("thresholds", "psis", "layers"):
        if chosen[key] == []:
            raise GanlabError(f"{key} must hold at least one {'range' if key == 'layers' else 'number'}, got [].")
    leasts = {"count": 1, "columns": 1, "rows": 1, "seed": 0, "start": 0, "steps": 2, "standing_statistics": 1}
    for key, least in leasts.items():
        if chosen[key] is not None and chosen[key] < least:
            raise GanlabError(f"{key} must be at least {least}, got {chosen[key]}.")
    if chosen["kind"] == "reconstruction" and not chosen["images"]:
        raise GanlabError("kind=reconstruction takes images=FOLDER: the images to make again.")
    suffixes = (".png", ".webp") if chosen["kind"] == "interpolation" else (".png",)
    if chosen["out"] is not None and Path(chosen["out"]).suffix.lower() not in suffixes:
        raise GanlabError(f"out must end in {' or '.join(suffixes)}, got {chosen['out']!r}.")


def _sample(folder: str, chosen: dict[str, Any]) -> int:
    from ganlab.pictures import latent_space
    from ganlab.runs.run import Run
    from ganlab.sampling import generation

    run = Run(folder, chosen["checkpoint"], chosen["device"])
    for message in run.messages:
        print(f"{message} An older checkpoint is used.", file=sys.stderr)
    kind, count, seed = (chosen[key] for key in ("kind", "count", "seed"))
    default = "sample" if kind == "grid" else kind
    if chosen["checkpoint"] != DEFAULTS["checkpoint"] or Path(folder).is_file():
        default += f"_{run.checkpoint.stem}"
    out = Path(chosen["out"]) if chosen["out"] else run.folder / "samples" / f"{default}_seed{seed}.png"
    images, columns = _MAKERS[kind](run, count, chosen)
    canvas = generation.grid(images, columns)
    frames = latent_space.frames(images, count) if out.suffix.lower() == ".webp" else []
    try:
        if out.suffix.lower() == ".webp":
            latent_space.write_webp(frames, out)
        else:
            generation.write_png(canvas, out)
    except OSError as error:
        raise GanlabError(f"{out} cannot be written: {error.strerror or error}.") from error
    print(f"{count if kind == 'grid' else len(images)} images of iteration {run.iteration}: {out}")
    return 0


def _grid(run: Any, count: int, chosen: dict[str, Any]) -> tuple[Any, int]:
    """Images and the number of columns."""
    from ganlab.pictures import latent_space
    from ganlab.sampling import generation

    columns, labels = chosen["columns"], chosen["labels"]
    if labels is None and run.num_classes:
        labels = list(range(run.num_classes))
    by_class = isinstance(labels, list) and len(labels) != count
    if by_class:
        labels = generation.spread(count, labels)
    options = {key: chosen[key] for key in ("truncation", "seed", "start", "psi", "cutoff", "noise")}
    with latent_space.standing(run, chosen["standing_statistics"], chosen["truncation"], chosen["seed"]):
        images = run.sample(count, labels, **options)
    if by_class and columns is None:
        return generation.rows(images, labels)
    return images, columns or math.ceil(math.sqrt(count))


def _interpolation(run: Any, count: int, chosen: dict[str, Any]) -> tuple[Any, int]:
    from ganlab.pictures import latent_space, style_space

    common = {key: chosen[key] for key in ("labels", "truncation", "seed")}
    if chosen["between"] == "w":
        if chosen["path"] != DEFAULTS["path"]:
            raise GanlabError("path goes with between=latents: from w to w the path is linear.")
        return style_space.between_styles(run, count, chosen["steps"], **common, **_in_w(chosen)), chosen["steps"]
    style = run.style(chosen["psi"], chosen["cutoff"], chosen["noise"], usual="fixed")
    with latent_space.standing(run, chosen["standing_statistics"], chosen["truncation"], chosen["seed"]):
        images = latent_space.interpolation(
            run, count, chosen["steps"], between=chosen["between"], path=chosen["path"], style=style, **common
        )
    return images, chosen["steps"]


def _truncation(run: Any, count: int, chosen: dict[str, Any]) -> tuple[Any, int]:
    from ganlab.pictures import latent_space, style_space
    from ganlab.sampling import styles

    common = {key: chosen[key] for key in ("labels", "seed")}
    passes = chosen["standing_statistics"]
    if chosen["psis"] and chosen["thresholds"]:
        raise GanlabError(
            "kind=truncation has rows by psis (in w) or by thresholds (of latents): leave one of them out."
        )
    if chosen["psis"] or (styles.has_styles(run.generator) and not chosen["thresholds"]):
        options = {key: value for key, value in _in_w(chosen).items() if key != "psi"}
        with latent_space.standing(run, passes):
            return style_space.by_psi(run, chosen["psis"] or PSIS, count, **common, **options), count
    thresholds = chosen["thresholds"] or THRESHOLDS
    style = run.style(None, chosen["cutoff"], chosen["noise"], usual="fixed")
    return latent_space.by_truncation(run, thresholds, count, passes=passes, style=style, **common), count


def _mixing(run: Any, count: int, chosen: dict[str, Any]) -> tuple[Any, int]:
    from ganlab.pictures import style_space

    options = {key: chosen[key] for key in ("layers", "labels", "truncation", "seed")}
    images, columns = style_space.mixing(run, count, chosen["rows"], **options, **_in_w(chosen))
    return images, columns


def _reconstruction(run: Any, count: int, chosen: dict[str, Any]) -> tuple[Any, int]:
    from ganlab.pictures import reconstruction

    return reconstruction.pairs(run, chosen["images"], count, chosen["labels"])


def _in_w(chosen: dict[str, Any]) -> dict[str, Any]:
    """What is asked of a w space where noise is the same in every image unless something else is said."""
    return {**{key: chosen[key] for key in ("psi", "cutoff")}, "noise": chosen["noise"] or "fixed"}


_MAKERS = {
    "grid": _grid,
    "interpolation": _interpolation,
    "truncation": _truncation,
    "mixing": _mixing,
    "reconstruction": _reconstruction,
}
