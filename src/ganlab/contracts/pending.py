"""New values of buffers that wait for the end of a step."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.core import distributed


class Pending:
    """New values of buffers, which they take after the step: the mean over micro-batches and ranks."""

    def __init__(self) -> None:
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
            buffer.copy_(distributed.mean(torch.stack(values).mean(0)))
        self._values.clear()
