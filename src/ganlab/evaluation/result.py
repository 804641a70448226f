"""The outcome of an evaluation, and the record that is written of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from ganlab.contracts.metric import Score
from ganlab.evaluation.protocol import digest


@dataclass
class Result:
    """Scores of one stream of images.

    Args:
        scores: By metric.
        protocol: As it was carried out, complete, JSON.
        samples: The first generated images, uint8; of points some of them, float32 (N, D, 1, 1).
        images_per_second: Generated images over the time of their pass.
        meanings: A sentence for each number, by name.
        reals: Real points to show beside the samples; None of images.
    """

    scores: dict[str, Score]
    protocol: dict[str, Any]
    samples: Tensor
    images_per_second: float
    warnings: list[str] = field(default_factory=list)
    meanings: Mapping[str, str] = field(default_factory=dict)
    reals: Tensor | None = None

    def record(self, subject: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Return a line of evaluation.jsonl, without figures and pictures: the caller writes their files."""
        found = {name: value for score in self.scores.values() for name, value in score.values.items()}
        values = {name: {**asdict(value), "meaning": self.meanings.get(name, "")} for name, value in found.items()}
        return {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "subject": dict(subject),
            "protocol": self.protocol,
            "protocol_hash": digest({k: v for k, v in self.protocol.items() if k != "truncation"}),
            "selected_on": False,
            "during_training": False,
            "values": values,
            "details": {name: score.details for name, score in self.scores.items() if score.details},
            "figures": {},
            "pictures": {},
            "warnings": [*self.warnings, *(w for score in self.scores.values() for w in score.warnings)],
            "images_per_second": round(self.images_per_second, 1),
            **more,
        }
