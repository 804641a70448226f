"""``ganlab sample RUN``: a grid of images from a trained generator."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganlab.errors import GanlabError, one_of, suggestion

HELP = """ganlab sample RUN [key=value ...]

  kind=grid         or interpolation: rows from one latent or class to another; or truncation: rows by threshold
  count=null        images of a grid, 64; otherwise rows (interpolation) or columns (truncation), 8
  labels=null       a class, a list of classes [0,1,2], or null: all classes, in a grid one row a class
  truncation=null   latents given that no |z_i| exceeds this; null: the whole prior
  seed=0            image i depends on (seed, i) alone
  columns=null      of a grid
  steps=8           images of a row of an interpolation
  between=latents   or classes: what an interpolation goes between, the other one is fixed
  path=spherical    or linear: how latents are interpolated
  thresholds=[2.0,1.0,0.5,0.04]    rows of kind=truncation
  standing_statistics=null         passes that batch statistics are averaged over, for each truncation
  out=null          PNG file, or .webp for a moving interpolation; null: RUN/samples/sample_seedN.png
"""
DEFAULTS: dict[str, Any] = {
    "kind": "grid",
    "count": None,
    "labels": None,
    "truncation": None,
    "seed": 0,
    "columns": None,
    "steps": 8,
    "between": "latents",
    "path": "spherical",
    "thresholds": [2.0, 1.0, 0.5, 0.04],
    "standing_statistics": None,
    "out": None,
}
KINDS = {  # what belongs to one kind only
    "grid": ("columns", "truncation"),
    "interpolation": ("steps", "between", "path", "truncation"),
    "truncation": ("thresholds",),
}
COUNTS = {"grid": 64, "interpolation": 8, "truncation": 8}


def run(words: Sequence[str], options: Sequence[str], flags: Sequence[str]) -> int:
    if len(words) != 1:
        raise GanlabError(f"`ganlab sample` takes one run folder, got {len(words)}: ganlab sample RUN [key=value ...].")
    from ganlab import config, run_folder

    run_folder.existing(words[0])
    chosen = dict(DEFAULTS)
    for override in config.parse(options):
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
    from ganlab import schema

    kinds = {
        "kind": str,
        "count": int | None,
        "labels": int | list[int] | None,
        "truncation": float | None,
        "seed": int,
        "columns": int | None,
        "steps": int,
        "between": str,
        "path": str,
        "thresholds": list[float],
        "standing_statistics": int | None,
        "out": str | None,
    }
    for key, annotation in kinds.items():
        try:
            chosen[key] = schema.convert(chosen[key], annotation)
        except ValueError as error:
            raise GanlabError(f"{key} {error}.") from error
    try:
        one_of(chosen["kind"], KINDS, "kind")
    except ValueError as error:
        raise GanlabError(str(error)) from error
    chosen["count"] = COUNTS[chosen["kind"]] if chosen["count"] is None else chosen["count"]
    if not chosen["thresholds"]:
        raise GanlabError("thresholds must hold at least one number, got [].")
    for key, least in (("count", 1), ("columns", 1), ("seed", 0), ("steps", 2), ("standing_statistics", 1)):
        if chosen[key] is not None and chosen[key] < least:
            raise GanlabError(f"{key} must be at least {least}, got {chosen[key]}.")
    suffixes = (".png", ".webp") if chosen["kind"] == "interpolation" else (".png",)
    if chosen["out"] is not None and Path(chosen["out"]).suffix.lower() not in suffixes:
        raise GanlabError(f"out must end in {' or '.join(suffixes)}, got {chosen['out']!r}.")


def _sample(folder: str, chosen: dict[str, Any]) -> int:
    from ganlab import pictures, sampling
    from ganlab.run import Run

    run = Run(folder)
    for message in run.messages:
        print(f"{message} An older checkpoint is used.", file=sys.stderr)
    kind, count, labels, seed = (chosen[key] for key in ("kind", "count", "labels", "seed"))
    default = "sample" if kind == "grid" else kind
    out = Path(chosen["out"]) if chosen["out"] else run.folder / "samples" / f"{default}_seed{seed}.png"
    passes = chosen["standing_statistics"]
    frames = []
    if kind == "truncation":
        images = pictures.by_truncation(run, chosen["thresholds"], count, labels=labels, seed=seed, passes=passes)
        canvas = sampling.grid(images, count)
    elif kind == "interpolation":
        options = {key: chosen[key] for key in ("between", "path", "truncation")}
        with pictures.standing(run, passes, chosen["truncation"], seed):
            images = pictures.interpolation(run, count, chosen["steps"], labels=labels, seed=seed, **options)
        canvas = sampling.grid(images, chosen["steps"])
        frames = pictures.frames(images, count)
    else:
        with pictures.standing(run, passes, chosen["truncation"], seed):
            images, columns = _grid(run, count, labels, chosen)
        canvas = sampling.grid(images, columns)
    try:
        if out.suffix.lower() == ".webp":
            pictures.write_webp(frames, out)
        else:
            sampling.write_png(canvas, out)
    except OSError as error:
        raise GanlabError(f"{out} cannot be written: {error.strerror or error}.") from error
    print(f"{count if kind == 'grid' else len(images)} images of iteration {run.iteration}: {out}")
    return 0


def _grid(run: Any, count: int, labels: Any, chosen: dict[str, Any]) -> tuple[Any, int]:
    """Images and the number of columns."""
    from ganlab import sampling

    columns = chosen["columns"]
    if labels is None and run.num_classes:
        labels = list(range(run.num_classes))
    by_class = isinstance(labels, list) and len(labels) != count
    if by_class:
        labels = sampling.spread(count, labels)
    images = run.sample(count, labels, truncation=chosen["truncation"], seed=chosen["seed"])
    if by_class and columns is None:
        return sampling.rows(images, labels)
    return images, columns or math.ceil(math.sqrt(count))
