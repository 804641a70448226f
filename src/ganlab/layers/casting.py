"""Casts of weights that several passes share.

Under autocast a convolution and a matrix product cast their float32 arguments where they are called, so that a weight
is cast in every pass; torch's own cache is off in Lightning's mixed precision, and keeps neither parametrized weights
nor views. `cast_once` keeps casts for as long as weights do not change, which is a micro-batch of a turn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ganlab.layers import convolution
from ganlab.layers.transforms import transformed

T = TypeVar("T")

_PRODUCTS = frozenset({
    torch.nn.functional.linear, torch.addmm, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__,
})  # fmt: skip


class _Active(threading.local):  # as modes of torch are
    casts: _Casts | None = None


_active = _Active()


def cast_once(device: str, wanted: bool = True) -> AbstractContextManager[Any]:
    """Have weights cast once inside the block, and not once a pass, where autocast is on.

    The gradients of several passes by one weight are then summed in the lower precision. Without autocast nothing
    changes, nor in passes inside for which it is off, or that `ganlab.layers.transforms.transformed` tells of.

    Args:
        device: Type of the networks' device.
        wanted: False: nothing changes.
    """
    return _Casts() if wanted and torch.is_autocast_enabled(device) else nullcontext()


def kept(owner: object, weight: Tensor, make: Callable[[], T]) -> T:
    """Return what ``make`` makes of a weight, once in a block of `cast_once` where its passes are cast.

    Args:
        owner: Whose it is.
        weight: It is made anew of another weight, or without a graph where this is to have one.
    """
    casts = _active.casts
    if casts is None or not torch.is_autocast_enabled(weight.device.type) or transformed():
        return make()
    return casts.kept((id(owner), *_key(weight)), (owner, weight), make)


class _Casts(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self._found: dict[Any, tuple[Any, Any]] = {}  # with what it was made of, so that no other has its id

    def __enter__(self) -> _Casts:
        self._before, _active.casts = _active.casts, self
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        _active.casts = self._before
        self._found.clear()

    def kept(self, key: Any, made_of: Any, make: Callable[[], Any]) -> Any:
        graph = torch.is_grad_enabled()  # what has one serves passes without as well
        found = self._found.get((key, True)) or self._found.get((key, graph))
        if found is None:
            found = self._found[key, graph] = (make(), made_of)
        return found[0]

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if transformed():
            return function(*args, **kwargs)
        if not types and function in convolution.FUNCTIONS:
            args = (*args[:1], *map(self._cast, args[1:]))
            kwargs = {name: value if name == "input" else self._cast(value) for name, value in kwargs.items()}
        elif not types and function in _PRODUCTS:
            args = tuple(map(self._cast_matrix, args))
            kwargs = {name: self._cast_matrix(value) for name, value in kwargs.items()}
        return function(*args, **kwargs)

    def _cast(self, x: Any) -> Any:
        if not isinstance(x, Tensor) or x.dtype is not torch.float32 or not torch.is_autocast_enabled(x.device.type):
            return x
        return self.kept(_key(x), x, lambda: x.to(torch.get_autocast_dtype(x.device.type)))

    def _cast_matrix(self, x: Any) -> Any:
        # maps are cast as they come: each is taken by one layer, and would be kept for nothing
        return self._cast(x) if isinstance(x, Tensor) and x.ndim <= 2 else x


def _key(x: Tensor) -> tuple[Any, ...]:
    """Tells tensors apart: views of one tensor are the same if they see the same."""
    whole = x if x._base is None else x._base
    return id(whole), x._version, x.storage_offset(), x.shape, x.stride(), x.requires_grad
