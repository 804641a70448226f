"""``ganlab bench``: the speed of a training iteration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ganlab.core.errors import GanlabError

HELP = """ganlab bench [key=value ...]

Options of `ganlab train`, and:

  warmup=10        iterations that are not counted
  iterations=10    iterations of one repeat
  repeats=5        repeats; the median iteration is reported
  kimg=0           where in the run to measure: a stage of its growth, a point of its schedules
  compare=null     plain: a hand-written loop with the same arithmetic, in turns in the same process;
                   reg: each regularizer of the run against the same run without it
  reg=a,b,c        each one alone against the same run without any of them

Prints images/s (real images consumed by the discriminator), seconds per iteration, the share of
each part, peak memory and parameters, and the same as one line of JSON.

  ganlab bench model=biggan data.image_size=32
  ganlab bench compare=plain
  ganlab bench reg=sn,ortho,r1
  ganlab bench reg=[sn,r1] compare=reg
"""
COMPARISONS = (None, "plain", "reg")
OWN: dict[str, Any] = {"warmup": int, "iterations": int, "repeats": int, "kimg": float, "compare": str | None}


def run(words: Sequence[str], options: Sequence[str], flags: Sequence[str]) -> int:
    if words:
        raise GanlabError(f"`ganlab bench` takes options only (key=value), got {words[0]!r}.")
    from hydra.core.override_parser.types import ChoiceSweep

    from ganlab.bench import iteration, regularizer_cost
    from ganlab.config import compose, schema

    settings = iteration.Settings()
    others: list[str] = []
    alone: list[str] | None = None
    for override in compose.parse(options):
        key = override.get_key_element()
        if key == "reg" and override.is_choice_sweep():
            alone = _single(cast(ChoiceSweep, override.value()).list)
            others.append(f"reg=[{','.join(alone)}]")
            continue
        if key not in OWN:
            others.append(str(override.input_line))
            continue
        try:
            value = schema.convert(override.value(), OWN[key])
        except ValueError as error:
            raise GanlabError(f"{key} {error}.") from error
        if key == "compare" and value not in COMPARISONS:
            raise GanlabError(f"compare must be plain, reg or null, got {value!r}.")
        least = 0 if key in ("warmup", "kimg") else 1
        if key != "compare" and value < least:
            raise GanlabError(f"{key} must be at least {least}, got {value}.")
        setattr(settings, key, value)
    if alone is None and settings.compare != "reg":
        print(iteration.report(iteration.run(compose.read(others), settings)))
        return 0
    if alone is not None and settings.compare is not None:
        raise GanlabError(f"compare={settings.compare} does not go with reg=a,b,c: ask for one of them at a time.")
    read = compose.read(others)
    counts = {"warmup": settings.warmup, "iterations": settings.iterations, "repeats": settings.repeats}
    names = list(read.get("reg") or {}) if alone is None else alone
    print(regularizer_cost.report(regularizer_cost.measure(read, names, together=alone is None, **counts)))
    return 0


def _single(elements: Sequence[Any]) -> list[str]:
    """The regularizers of reg=a,b,c; none is what they are compared with, named or not."""
    names = []
    for element in elements:
        if not isinstance(element, str):
            raise GanlabError("reg=a,b,c compares single regularizers; for those of one run: reg=[a,b] compare=reg.")
        if element != "none":
            names.append(element)
    return names
