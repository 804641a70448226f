"""Evaluations of points: what they refuse, what they know, and how many points they show."""

from __future__ import annotations

from collections.abc import Mapping

from ganlab.config.schema import COMPONENT
from ganlab.contracts.metric import Metric
from ganlab.contracts.point_set import Modes, PointSet
from ganlab.core.errors import GanlabError
from ganlab.data.run_images import RunData
from ganlab.evaluation.protocol import Protocol, preset
from ganlab.metrics.stored import StoredImages
from ganlab.sampling import scatter

SHOWN = StoredImages(scatter.REALS)


def modes_of(real: RunData) -> Modes | None:
    """Return the modes of real points; None where they are not known."""
    return real.source.modes if isinstance(real.source, PointSet) else None


def refuse(protocol: Protocol, metrics: Mapping[str, Metric], real: RunData) -> None:
    """Refuse metrics of images for points, metrics of points for images, and features of points.

    Raises:
        GanlabError: With the first of them.
    """
    are_points = real.images.are_points
    for name, metric in metrics.items():
        if metric.of_points == are_points:
            continue
        if not are_points:
            raise GanlabError(f"{name} scores points, and the data has images: leave {name} out.")
        source = real.source if isinstance(real.source, PointSet) else PointSet
        own = preset(source.protocol)
        raise GanlabError(f"{name} scores images, and the data has points: take metrics={','.join(own.metrics)}.")
    if are_points and COMPONENT in protocol.features:
        named = protocol.features[COMPONENT]
        raise GanlabError(f"features={named} looks at images, and the data has points: leave it out.")
