"""The keys that every run has, whatever its components: their types and ranges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ganlab.config import schema
from ganlab.core.errors import GanlabError, one_of, suggestion

KEYS: dict[str, tuple[Any, Callable[[Any], bool], str]] = {
    "seed": (int, lambda v: v >= 0, "at least 0"),
    "init": (str | None, lambda v: v is None or bool(v.strip()), "a run folder"),
    "accumulate": (int, lambda v: v >= 1, "at least 1"),
    "sync_batch_norm": (bool, lambda v: True, ""),
    "channels_last": (bool, lambda v: True, ""),
    "compile": (bool, lambda v: True, ""),
    "run.dir": (str | None, lambda v: v is None or bool(v.strip()), "a path"),
    "run.max_kimg": (float | None, lambda v: v is None or v > 0, "positive"),
    "data.batch_size": (int, lambda v: v >= 1, "at least 1"),
    "data.image_size": (
        int | tuple[int, int] | None,
        lambda v: v is None or min(v if isinstance(v, tuple) else (v,)) >= 1,
        "at least 1",
    ),
    "data.image_channels": (int | None, lambda v: v in (None, 1, 3), "1 or 3"),
    "data.num_classes": (int | None, lambda v: v is None or v >= 0, "at least 0"),
    "data.mirror": (bool, lambda v: True, ""),
    "data.dequantize": (bool, lambda v: True, ""),
    "data.held_out": (float | None, lambda v: v is None or 0 <= v < 1, "at least 0 and below 1"),
    "data.memory_budget_mib": (float, lambda v: v >= 0, "at least 0"),
    "data.on_device": (bool, lambda v: True, ""),
    "ema.half_life_kimg": (float, lambda v: v >= 0, "at least 0"),
    "ema.half_life_steps": (float | None, lambda v: v is None or v >= 0, "at least 0"),
    "ema.ramp_up": (float | None, lambda v: v is None or v > 0, "positive"),
    "ema.start_kimg": (float, lambda v: v >= 0, "at least 0"),
    "checkpoint.every_steps": (int, lambda v: v >= 1, "at least 1"),
    "checkpoint.keep": (int, lambda v: v >= 0, "at least 0"),
    "sample.every_steps": (int, lambda v: v >= 1, "at least 1"),
    "sample.count": (int, lambda v: v >= 1, "at least 1"),
    "sample.keep": (int, lambda v: v >= 2, "at least 2"),
    "sample.truncation": (float | None, lambda v: v is None or v > 0, "positive"),
    "evaluate.every_kimg": (float | None, lambda v: v is None or v > 0, "positive"),
    "evaluate.metrics": (list[str], lambda v: len(v) > 0, "a list of at least one metric"),
    "evaluate.reference": (str, lambda v: True, ""),
    "evaluate.samples": (int | None, lambda v: v is None or v >= 0, "at least 0"),
    "evaluate.features": (str | None, lambda v: True, ""),
    "evaluate.protocol": (str | None, lambda v: True, ""),
}


def check(config: dict[str, Any]) -> None:
    """Types and ranges; whole numbers that are written as floats become integers, in place.

    Raises:
        GanlabError: With all problems at once, one sentence each.
    """
    problems = []
    for key, (annotation, allowed, words) in KEYS.items():
        node: Any = config
        *parents, last = key.split(".")
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if not isinstance(node, dict) or last not in node:
            problems.append(f"The configuration has no {key}.")
            continue
        try:
            value = schema.convert(node[last], annotation)
        except ValueError as error:
            problems.append(f"{key} {error}.")
            continue
        if type(value) is int:
            node[last] = value  # 2.0 is written for 2
        if not allowed(value):
            problems.append(f"{key} must be {words}, got {node[last]!r}.")
    for section in ("run", "checkpoint", "sample", "evaluate"):
        known = [key.partition(".")[2] for key in KEYS if key.startswith(f"{section}.")]
        node = config.get(section)
        for name in node if isinstance(node, dict) else ():
            if name not in known:
                problems.append(
                    f"{section}.{name} is no option.{suggestion(str(name), known)} Options: {', '.join(known)}."
                )
    for key, value, choices in (
        ("state_updates", config.get("state_updates"), ("own_turn", "every_forward")),
        ("data.undecodable", config.get("data", {}).get("undecodable"), ("error", "skip")),
    ):
        try:
            one_of(str(value), choices, key)
        except ValueError as error:
            problems.append(str(error))
    if not isinstance(config.get("trainer"), dict):
        problems.append("trainer must be a mapping of Lightning's Trainer options.")
    if problems:
        raise GanlabError(" ".join(problems))
