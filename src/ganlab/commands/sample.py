"""``ganlab sample RUN``: a grid of images from a trained generator."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganlab.errors import GanlabError, suggestion

HELP = """ganlab sample RUN [key=value ...]

  count=64          images
  labels=null       a class, a list of classes [0,1,2], or null, all classes: one row a class
  truncation=null   latents given that no |z_i| exceeds this; null: the whole prior
  seed=0            image i depends on (seed, i) alone
  columns=null      of the grid
  out=null          PNG file; null: RUN/samples/sample_seedN.png
"""
DEFAULTS: dict[str, Any] = {
    "count": 64,
    "labels": None,
    "truncation": None,
    "seed": 0,
    "columns": None,
    "out": None,
}


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
    return _sample(words[0], chosen)


def _check(chosen: dict[str, Any]) -> None:
    from ganlab import schema

    kinds = {
        "count": int,
        "labels": int | list[int] | None,
        "truncation": float | None,
        "seed": int,
        "columns": int | None,
        "out": str | None,
    }
    for key, annotation in kinds.items():
        try:
            chosen[key] = schema.convert(chosen[key], annotation)
        except ValueError as error:
            raise GanlabError(f"{key} {error}.") from error
    for key, least in (("count", 1), ("columns", 1), ("seed", 0)):
        if chosen[key] is not None and chosen[key] < least:
            raise GanlabError(f"{key} must be at least {least}, got {chosen[key]}.")
    if chosen["out"] is not None and Path(chosen["out"]).suffix.lower() != ".png":
        raise GanlabError(f"out must end in .png, got {chosen['out']!r}.")


def _sample(folder: str, chosen: dict[str, Any]) -> int:
    from ganlab import sampling
    from ganlab.run import Run

    run = Run(folder)
    for message in run.messages:
        print(f"{message} An older checkpoint is used.", file=sys.stderr)
    count, labels, columns = chosen["count"], chosen["labels"], chosen["columns"]
    if labels is None and run.num_classes:
        labels = list(range(run.num_classes))
    by_class = isinstance(labels, list) and len(labels) != count
    if by_class:
        labels = sampling.spread(count, labels)
    images = run.sample(count, labels, truncation=chosen["truncation"], seed=chosen["seed"])
    if by_class and columns is None:
        images, columns = sampling.rows(images, labels)
    canvas = sampling.grid(images, columns or math.ceil(math.sqrt(count)))
    out = Path(chosen["out"]) if chosen["out"] else run.folder / "samples" / f"sample_seed{chosen['seed']}.png"
    try:
        sampling.write_png(canvas, out)
    except OSError as error:
        raise GanlabError(f"{out} cannot be written: {error.strerror or error}.") from error
    print(f"{count} images of iteration {run.iteration}: {out}")
    return 0
