"""New values of buffers that wait for the end of a step."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.core import distributed


class Pending:
    """New values of buffers, which they take after the step: the mean over micro-batches and ranks.

    Attributes:
        dropped: A boolean on the device: the new values are dropped. None: they are taken.
    """

    def __init__(self) -> None:
        self.dropped: Tensor | None = None
        self._values: dict[Tensor, list[Tensor]] = {}

    def add(self, buffer: Tensor, value: Tensor) -> None:
        """Add the value of one micro-batch."""
        self._values.setdefault(buffer, []).append(value.detach())

    def forget(self) -> None:
        """Drop what waits."""
        self._values.clear()

    @torch.no_grad()
    def settle(self) -> None:
        """Give every buffer its new value."""
        for buffer, values in self._values.items():
            value = distributed.mean(torch.stack(values).mean(0))
            buffer.copy_(value if self.dropped is None else torch.where(self.dropped, buffer, value))
        self._values.clear()
        self.dropped = None
