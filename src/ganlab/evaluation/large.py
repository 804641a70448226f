"""Numbers of an evaluation that need more memory than there is, refused before anything is allocated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganlab.contracts.metric import Metric, Stream
from ganlab.core import memory
from ganlab.evaluation.protocol import Protocol

_LARGE = 10**6  # a number from here on is named


def refuse(protocol: Protocol, metrics: Mapping[str, Metric], stream: Stream) -> None:
    """Refuse a metric that needs more memory for the samples of a stream than the machine has.

    Raises:
        GanlabError: With the large numbers among its options.
    """
    for name, metric in metrics.items():
        options = protocol.metrics.get(name, {})
        named = [f"samples={stream.count}" if stream.count >= _LARGE else f"{stream.count:,} samples"]
        named += [f"{name}.{key}={_typed(value)}" for key, value in options.items() if _is_large(value)]
        memory.refuse(metric.memory(stream), f"The numbers of {name} from {' and '.join(named)}", "take fewer")


def _typed(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_large(value: Any) -> bool:
    return isinstance(value, (int, float)) and value >= _LARGE
