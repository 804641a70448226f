"""``ganlab bench``: the speed of a training iteration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ganlab.errors import GanlabError

HELP = """ganlab bench [key=value ...]

Options of `ganlab train`, and:

  warmup=10        iterations that are not counted
  iterations=10    iterations of one repeat
  repeats=5        repeats; the median iteration is reported
  kimg=0           where in the run to measure: a stage of its growth, a point of its schedules
  compare=null     plain: a hand-written loop with the same arithmetic, in turns in the same process

Prints images/s (real images consumed by the discriminator), seconds per iteration, the share of
each part, peak memory and parameters, and the same as one line of JSON.

  ganlab bench model=biggan data.image_size=32
  ganlab bench compare=plain
"""
OWN: dict[str, Any] = {"warmup": int, "iterations": int, "repeats": int, "kimg": float, "compare": str | None}


def run(words: Sequence[str], options: Sequence[str], flags: Sequence[str]) -> int:
    if words:
        raise GanlabError(f"`ganlab bench` takes options only (key=value), got {words[0]!r}.")
    from ganlab import bench, config, schema

    settings = bench.Settings()
    others = []
    for override in config.parse(options):
        key = override.get_key_element()
        if key not in OWN:
            others.append(str(override.input_line))
            continue
        try:
            value = schema.convert(override.value(), OWN[key])
        except ValueError as error:
            raise GanlabError(f"{key} {error}.") from error
        if key == "compare" and value not in (None, "plain"):
            raise GanlabError(f"compare must be plain or null, got {value!r}.")
        least = 0 if key in ("warmup", "kimg") else 1
        if key != "compare" and value < least:
            raise GanlabError(f"{key} must be at least {least}, got {value}.")
        setattr(settings, key, value)
    print(bench.report(bench.run(config.read(others), settings)))
    return 0
