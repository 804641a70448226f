"""Numbers for a progress bar, which reads them in every step, without a wait for the device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Arriving:
    """Copies scalars to the host while the device goes on; those that have arrived can be read at once.

    On a CPU they are the scalars themselves.
    """

    def __init__(self) -> None:
        self.arrived: dict[str, Tensor] = {}
        self._coming: dict[str, Tensor] = {}
        self._event: torch.cuda.Event | None = None

    def send(self, scalars: Mapping[str, Tensor]) -> None:
        """Begin to copy scalars, unless earlier ones are still on their way."""
        device = next((value.device for value in scalars.values()), torch.device("cpu"))
        if device.type != "cuda":
            self.arrived = {name: value.detach() for name, value in scalars.items()}
            return
        if self._event is not None and not self._event.query():
            return
        self.arrived = self._coming
        self._coming = {name: value.detach().to("cpu", non_blocking=True) for name, value in scalars.items()}
        self._event = torch.cuda.Event()
        self._event.record()
