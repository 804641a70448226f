"""Across ranks: means and concatenations that gradients flow through, and averaged gradients.

Every rank minimises the mean of its own share of the global batch, and gradients are averaged
over ranks afterwards. The backward passes below are the adjoints under that convention, so that
N ranks get the gradient that one process would get on the concatenated batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

_AVAILABLE = dist.is_available()
_alone = False


def world_size() -> int:
    return dist.get_world_size() if _AVAILABLE and not _alone and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if _AVAILABLE and not _alone and dist.is_initialized() else 0


@contextmanager
def alone() -> Iterator[None]:
    """Treat this process as the only one inside the block, for work that ranks do not do together.

    Layers that use the whole batch would otherwise wait for ranks that do not call them.
    """
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total / world_size()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _Mean.apply(grad)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.detach().contiguous()
        parts = [torch.empty_like(x) for _ in range(world_size())]
        dist.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _OwnSliceOfSum.apply(grad)


class _OwnSliceOfSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()].clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _Gather.apply(grad)


def mean(x: Tensor) -> Tensor:
    """The mean of ``x`` over ranks, elementwise; differentiable, twice too. One rank: ``x``."""
    found: Tensor = x if world_size() == 1 else _Mean.apply(x)
    return found


def gather(x: Tensor) -> Tensor:
    """``x`` of all ranks concatenated along dimension 0, in rank order; differentiable, twice too."""
    found: Tensor = x if world_size() == 1 else _Gather.apply(x)
    return found


def own(x: Tensor) -> Tensor:
    """This rank's slice of a global tensor: the inverse of `gather` without communication."""
    return x if world_size() == 1 else x.chunk(world_size())[rank()]


@torch.no_grad()
def average(tensors: Iterable[Tensor]) -> None:
    """Average ``tensors`` over ranks in place: one flattened all-reduce for each dtype."""
    if world_size() == 1:
        return
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        by_dtype.setdefault(tensor.dtype, []).append(tensor)
    for group in by_dtype.values():
        flat = torch.cat([t.reshape(-1) for t in group])
        dist.all_reduce(flat)
        flat /= world_size()
        pieces = flat.split([t.numel() for t in group])
        torch._foreach_copy_(group, [p.view(t.shape) for p, t in zip(pieces, group, strict=True)])


@torch.no_grad()
def broadcast(module: nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0."""
    if world_size() > 1:
        tensors: Sequence[Tensor] = [*module.parameters(), *module.buffers()]
        for tensor in tensors:
            contiguous = tensor.contiguous()
            dist.broadcast(contiguous, src=0)
            tensor.copy_(contiguous)
