"""Scores of a module that a Trainer validates or tests: as many samples as there are real images, metric by metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ganlab.core import distributed
from ganlab.core.errors import GanlabError, shown
from ganlab.metrics import as_torchmetric

Make = Callable[[Sequence[int]], Tensor]


class Scores(nn.Module):
    """Scores of samples beside the real images of a loader.

    Args:
        metrics: A name, a list of them, or names with options.
        features: See `ganlab.metrics.as_torchmetric`.
        num_classes: Classes of the labels; 0: none.
        seed: Of whatever a metric chooses at random.

    Raises:
        GanlabError: If a metric cannot be made.
    """

    def __init__(self, metrics: Any, features: Any, num_classes: int, seed: int) -> None:
        super().__init__()
        names = [metrics] if isinstance(metrics, str) else metrics
        if not isinstance(names, list | tuple | Mapping):
            raise GanlabError(f"metrics must be names, as ['fid', 'kid'], or names with options, got {shown(names)}.")
        options = {str(n): o for n, o in names.items()} if isinstance(names, Mapping) else {str(n): {} for n in names}
        if wrong := [name for name, own in options.items() if not isinstance(own, Mapping | None)]:
            raise GanlabError(
                f"metrics: the options of {wrong[0]!r} must be a mapping, got {shown(options[wrong[0]])}."
            )
        made = {
            name: as_torchmetric(name, features, num_classes=num_classes, seed=seed, **(own or {}))
            for name, own in options.items()
        }
        if not made:
            raise GanlabError("metrics is empty: name at least one, as metrics=['fid'], or leave it out.")
        self.metrics = nn.ModuleDict(made)
        self._made = 0

    def update(self, images: Tensor, labels: Tensor | None, make: Make) -> None:
        """Take in real images, and as many samples.

        Args:
            make: Makes samples by their numbers, which are others on each process.
        """
        count = len(images)
        start = self._made * distributed.world_size() + distributed.rank() * count
        self._made += count
        fakes = make(range(start, start + count)).to(images.device)
        for metric in self.metrics.values():
            metric.update(images, real=True, labels=labels)  # type: ignore[operator]
            metric.update(fakes, real=False, labels=labels)  # type: ignore[operator]

    def compute(self) -> dict[str, Tensor]:
        """Return the numbers by name, and forget the images."""
        self._made = 0
        found: dict[str, Tensor] = {}
        for metric in self.metrics.values():
            found.update(metric.compute())  # type: ignore[operator]
            metric.reset()  # type: ignore[operator]
        return found
