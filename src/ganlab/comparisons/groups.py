"""Runs of one data set, and what a comparison wants of their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ganlab.comparisons.collected import Record, RunFacts

Key = tuple[str, float | None]  # the hash of a protocol, and the truncation
_OF_TRAINING = ("batch_size", "mirror", "dequantize", "memory_budget_mib", "on_device", "undecodable")
_OF_IMAGES = ("data.image_size", "data.image_channels", "data.held_out")


@dataclass(frozen=True)
class Wanted:
    """The scores that a comparison asks for.

    Args:
        metrics: Names of numbers, the one that orders the rows first; empty: all that have an order.
        kimg: Compare scores during training, at this point at the latest; None: the best and last checkpoints.
        protocol: A preset; None: the one by which all runs were scored, or else the data's own.
        device: Where runs that were not scored are scored.
        say: Is given a line for each checkpoint that is scored.
    """

    metrics: Sequence[str] = ()
    kimg: float | None = None
    protocol: str | None = None
    device: str = "auto"
    say: Callable[[str], None] = lambda line: None


@dataclass
class Group:
    """Runs of one data set.

    Args:
        runs: All of them.
        records: The scores that are compared, by the run's name and which checkpoint.
    """

    runs: list[RunFacts]
    records: dict[tuple[str, str], Record] = field(default_factory=dict)


def complete(runs: Sequence[RunFacts]) -> None:
    """Fill in what follows from the data, for runs that ended before they had read it: from a run of the same data."""
    early = [run for run in runs if run.config and not _contents(run) and run.config.get("data.image_size") is None]
    for run in early:
        alike = (other for other in runs if other.config and other not in early and _may_be_of(run, other))
        if (other := next(alike, None)) is not None:
            empty = [key for key, value in run.config.items() if value is None and key not in run.swept]
            run.config.update({key: other.config[key] for key in empty if key in other.config})
            run.environment = {**run.environment, "data": other.environment.get("data")}


def groups(runs: Sequence[RunFacts]) -> list[Group]:
    """Sort runs by their images."""
    found: dict[tuple[str, ...], Group] = {}
    for run in runs:
        found.setdefault(_images(run), Group([])).runs.append(run)
    return list(found.values())


def _images(run: RunFacts) -> tuple[str, ...]:
    """Return what tells a run's images from those of others: their digest, or else the options of the data set."""
    contents = _contents(run)
    keys = _OF_IMAGES if contents else _of_data(run)
    return (str(contents), *(f"{key}={run.config.get(key)}" for key in sorted(keys)))


def _contents(run: RunFacts) -> Any:
    described = run.environment.get("data")
    return described.get("contents") if isinstance(described, dict) else None


def _of_data(run: RunFacts) -> list[str]:
    """Return the options that tell which images there are."""
    parts = ((key, *key.partition(".")) for key in run.config)
    return [key for key, first, _, option in parts if first == "data" and option not in _OF_TRAINING]


def _may_be_of(early: RunFacts, other: RunFacts) -> bool:
    """Tell if a run has the data options of another one, as far as its own are filled in."""
    return all(early.config[key] in (None, other.config.get(key)) for key in _of_data(early))


def key(record: Record) -> Key:
    """Return what two records must share to be compared."""
    return record["protocol_hash"], record["subject"].get("truncation")


def words(protocol: dict[str, Any]) -> str:
    """Return a protocol in a line."""
    features, reference = protocol.get("features") or {}, protocol["reference"]
    of = f"{reference.get('count', 0):,} {reference['split']} images" if "split" in reference else "given statistics"
    by = f", features of {features['component']}" if "component" in features else ""
    truncation = f", truncation {protocol['truncation']:g}" if protocol.get("truncation") else ""
    return f"protocol {protocol.get('name', '')}: {protocol['samples']:,} samples against {of}{by}{truncation}"
