"""Passes whose gradients are differentiated again, as penalties on input gradients do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ganlab.layers import convolution, rectifier
from ganlab.layers.transforms import transformed


def differentiated_twice(wanted: bool = True) -> AbstractContextManager[Any]:
    """Have the convolutions and rectifiers of passes inside use cheap second derivatives.

    Values and gradients are torch's own up to rounding, for whatever calls ``F.conv2d``, ``F.conv_transpose2d`` and
    those of other dimensions, ``F.relu`` and ``F.leaky_relu``, in anybody's modules. A gradient that is zero because
    rectifiers have no second derivative is not computed: of a weight that a penalty does not depend on it is None.
    Under autocast, for subclasses of tensors, and in passes that `ganlab.layers.transforms.transformed` tells of,
    nothing changes.

    Args:
        wanted: False: nothing changes.
    """
    return _Mode() if wanted and not torch.compiler.is_compiling() else nullcontext()


class _Mode(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        compute = _COMPUTE.get(function)
        if compute is not None and torch.is_grad_enabled() and all(kind is Tensor for kind in types):
            x = args[0] if args else kwargs["input"]
            if not torch.is_autocast_enabled(x.device.type) and not transformed():
                found = compute(function, args, kwargs)
                if found is not None:
                    return found
        return function(*args, **kwargs)


_COMPUTE: dict[Any, Callable[[Any, Any, Any], Tensor | None]] = {
    **dict.fromkeys(convolution.FUNCTIONS, convolution.convolved),
    **dict.fromkeys(rectifier.FUNCTIONS, rectifier.rectified),
}
