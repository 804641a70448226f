"""Constant tensors that are made once: copying numbers to a device in every pass makes the host wait for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor

from ganlab.core.uncompiled import uncompiled

Rows = Sequence[Sequence[float]]


_holders: list[list[Tensor]] = []


@contextmanager
def held() -> Iterator[list[Tensor]]:
    """Give a list of the constants that a block asks for, which are kept as long as the list is."""
    found: list[Tensor] = []
    _holders.append(found)
    try:
        yield found
    finally:
        _holders.pop()


@uncompiled  # the compiler warns of functions that remember
def constant(numbers: Sequence[float] | Rows, like: Tensor) -> Tensor:
    """A tensor of these numbers, of the dtype and on the device of ``like``; it is shared and must not be changed."""
    frozen = tuple(tuple(row) if isinstance(row, Sequence) else row for row in numbers)
    made = _made(frozen, like.dtype, like.device)
    for holder in _holders:
        holder.append(made)
    return made


@lru_cache(maxsize=256)
def _made(numbers: tuple[object, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # whoever asks first, training may use it
        return torch.tensor(numbers, dtype=dtype, device=device)
