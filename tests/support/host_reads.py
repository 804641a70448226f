"""Reads of values that make the host wait for a device, seen on a CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from ganlab.testing.tape import READS


class NoHostReads(TorchDispatchMode):
    """Refuses whatever has to know a value of a tensor on the host, or copies numbers of the host to the device."""

    WAITS = (*READS, "item")

    def __enter__(self) -> Any:
        self.patch = pytest.MonkeyPatch()
        for name in ("tolist", "numpy"):  # these read memory past the dispatcher

            def read(tensor: Tensor, name: str = name) -> None:
                raise AssertionError(f"{name} makes the host wait for the device")

            self.patch.setattr(Tensor, name, read)
        one_hot = F.one_hot

        def without_its_check(labels: Tensor, num_classes: int) -> Tensor:
            """On a CPU it looks for labels that are too large; on a GPU it does not."""
            self.watches = False
            try:
                return one_hot(labels, num_classes)
            finally:
                self.watches = True

        self.patch.setattr(F, "one_hot", without_its_check)
        self.watches = True
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        self.patch.undo()
        super().__exit__(*error)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._schema.name.partition("::")[2]
        if name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1]):
            name = "nonzero"
        assert not self.watches or name not in self.WAITS, f"{name} makes the host wait for the device"
        return function(*args, **(kwargs or {}))
