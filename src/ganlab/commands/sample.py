"""``ganlab sample RUN``: a grid of images from a trained generator."""

from __future__ import annotations

import math
import os
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
  labels=null       a class, a list of classes [0,1,2], or null: all classes, in turn; in a grid one row a class
  truncation=null   latents given that no |z_i| exceeds this; null: the whole prior
  seed=0            image i depends on (seed, i) and its class alone
  start=0           number of a grid's first image: count=1 start=17 is image 17
  columns=null      of a grid
  steps=null        images of a row of an interpolation, 8; of a moving one, 50
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
  out=null          PNG file; null: RUN/samples/sample_seedN.png
                    of kind=interpolation also .webp, .gif or .mp4 (with ffmpeg): a walk, there and back
                    of kind=grid also FOLDER/, numbered PNGs, with a folder a class; or .npz, arr_0 and arr_1
"""
DEFAULTS: dict[str, Any] = {
    "kind": "grid",
    "count": None,
    "labels": None,
    "truncation": None,
    "seed": 0,
    "start": 0,
    "columns": None,
    "steps": None,
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
PICTURES = {"interpolation": (".png", ".webp", ".gif", ".mp4")}  # and of every other kind
COUNTS = {"grid": 64, "interpolation": 8, "truncation": 8, "mixing": 6, "reconstruction": 32}
STEPS = 8


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
        "steps": int | None,
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
    _check_out(chosen)


def _check_out(chosen: dict[str, Any]) -> None:
    """Return the place of the output, by the end of ``out``; refuse options without effect there."""
    kind, out = chosen["kind"], chosen["out"]
    suffixes = PICTURES.get(kind, (".png",))
    many = out is not None and kind == "grid" and (out.lower().endswith(("/", ".npz")) or os.path.isdir(out))
    if out is not None and not many and Path(out).suffix.lower() not in suffixes:
        more = ", in .npz, or in / for a folder of PNGs" if kind == "grid" else ""
        raise GanlabError(f"out must end in {' or '.join(suffixes)}{more}, got {out!r}.")
    if many and chosen["columns"] is not None:
        raise GanlabError(f"columns={chosen['columns']} is of a picture, and out={out} has images: leave it out.")
    chosen["many"] = many
    chosen["moving"] = out is not None and not many and Path(out).suffix.lower() != ".png"


def _refuse_too_many(chosen: dict[str, Any], image_shape: Sequence[int]) -> None:
    """A picture is made in memory, all of its images at once."""
    from ganlab.core import memory

    several = {"interpolation": ["steps"], "mixing": ["rows"], "grid": ["columns"]}.get(chosen["kind"], [])
    factors = {key: int(chosen[key] or 1) for key in ("count", *several)}
    images = max(factors.values()) if chosen["kind"] == "grid" else math.prod(factors.values())
    typed = " ".join(f"{key}={value}" for key, value in factors.items() if value > 1)
    advice = "take fewer, or out=FOLDER/ for images one by one" if chosen["kind"] == "grid" else "take fewer"
    memory.refuse(4 * images * math.prod(image_shape), f"The images of {typed}", advice)


def _sample(folder: str, chosen: dict[str, Any]) -> int:
    from ganlab.pictures import animation, kinds
    from ganlab.runs.run import Run
    from ganlab.sampling import captions, generation

    kind, seed = chosen["kind"], chosen["seed"]
    if chosen["moving"]:
        animation.refuse_without_ffmpeg(Path(chosen["out"]))
    run = Run(folder, chosen["checkpoint"], chosen["device"])
    for message in run.messages:
        print(f"{message} An older checkpoint is used.", file=sys.stderr)
    if chosen["count"] is None:
        moving = chosen["moving"]
        chosen["count"] = animation.rows_that_fit(min(run.generator.image_shape[1:])) if moving else COUNTS[kind]
    if chosen["steps"] is None:
        chosen["steps"] = animation.STEPS if chosen["moving"] else STEPS
    count = chosen["count"]
    if not chosen["many"]:
        _refuse_too_many(chosen, run.generator.image_shape)
    default = "sample" if kind == "grid" else kind
    if chosen["checkpoint"] != DEFAULTS["checkpoint"] or os.path.isfile(folder):
        default += f"_{run.checkpoint.stem}"
    out = Path(chosen["out"]) if chosen["out"] else run.folder / "samples" / f"{default}_seed{seed}.png"
    made = count
    try:
        if chosen["many"]:
            kinds.export_samples(run, out, chosen)
        else:
            images, columns, names = kinds.MAKERS[kind](run, count, chosen)
            made = count if kind == "grid" else len(images)
            if chosen["moving"]:
                animation.write(animation.frames(images, count), out)
            else:
                generation.write_png(captions.beside(generation.grid(images, columns), names), out)
    except OSError as error:
        raise GanlabError(f"{out} cannot be written: {error.strerror or error}.") from error
    print(f"{made:,} images of iteration {run.iteration}: {out}")
    return 0
