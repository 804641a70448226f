"""Differences between two nested values, such as two networks' tensors by name, each a part of a sentence."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.core.errors import shortened

Dtypes = Callable[[Tensor], tuple[torch.dtype, ...]]
Problems = Iterator[str]


def differences(where: str, theirs: Any, ours: Any, dtypes: Dtypes = lambda ours: (ours.dtype,)) -> Problems:
    """Differences in names, counts, types, shapes and dtypes between a value and an example of what is wanted.

    Args:
        where: Name of the value, a prefix of the names of its parts; empty: no prefix.
        theirs: The value; it may hold anything.
        ours: The example.
        dtypes: The dtypes that are allowed for a tensor of the example, its own first.
    """
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        name = f"{where}." if where else ""
        yield from (f"{name}{key} is missing" for key in ours if key not in theirs)
        yield from (f"{name}{said(key, quoted=False)} is unknown here" for key in theirs if key not in ours)
        for key in ours:
            if key in theirs:
                yield from differences(f"{name}{key}", theirs[key], ours[key], dtypes)
    elif isinstance(ours, list) and isinstance(theirs, (list, tuple)):
        if len(theirs) != len(ours):
            yield f"{where} has {len(theirs)} parts instead of {len(ours)}"
        for number, (one, other) in enumerate(zip(theirs, ours, strict=False)):
            yield from differences(f"{where}[{number}]", one, other, dtypes)
    elif isinstance(ours, Tensor):
        if not is_plain(theirs):
            yield f"{where} is {'no plain tensor' if isinstance(theirs, Tensor) else said(theirs)}"
        elif theirs.shape != ours.shape:
            yield f"{where} is {tuple(theirs.shape)} instead of {tuple(ours.shape)}"
        elif theirs.dtype not in dtypes(ours):
            yield f"{where} is {theirs.dtype} instead of {dtypes(ours)[0]}"
    elif type(theirs) is not type(ours) or (type(ours) is int and theirs < 0):
        yield f"{where} is {said(theirs)}"


def is_plain(value: Any) -> bool:
    """Tell if a value is a dense tensor on the CPU, and not sparse, quantized or the like."""
    return (
        type(value) in (Tensor, nn.Parameter)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not (value.is_quantized or value.is_nested or value.is_conj() or value.is_neg())
    )


def is_data(value: Any, tensor: Callable[[Any], bool] = is_plain) -> bool:
    """Tell if a value is made of tensors, numbers, words, lists and mappings, as a checkpoint is.

    Args:
        tensor: Tells which tensors are allowed.
    """
    try:
        if isinstance(value, Tensor):
            return tensor(value)
        if type(value) in (dict, OrderedDict):
            return all(type(key) in (str, int) and is_data(inner, tensor) for key, inner in value.items())
        if type(value) in (list, tuple):
            return all(is_data(inner, tensor) for inner in value)
        return value is None or type(value) in (bool, int, float, str)
    except RecursionError:
        return False


def said(value: Any, quoted: bool = True) -> str:
    """Return a value in a few words."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    return shortened(repr(value) if quoted else str(value))
