"""TF32: products of float32 numbers, on a GPU, of which 10 of 23 bits are taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def chosen(tf32: bool | str, device: torch.device) -> Iterator[None]:
    """Set what products of float32 numbers are inside the block, as the option ``tf32`` says; nothing on a CPU.

    PyTorch's newer names, ``fp32_precision``, set parts of what `torch.get_float32_matmul_precision` then refuses to
    say, which Lightning and torch.compile ask for.

    Args:
        tf32: Of convolutions and matrix products, or ``auto``: PyTorch's own, which is left alone.
        device: Where the run is.
    """
    if not isinstance(tf32, bool) or device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def said(tf32: bool | str, device: torch.device) -> list[str]:
    """Return a line on what products are taken in TF32; none on a CPU where nothing was asked for."""
    if device.type != "cuda":
        return [f"tf32: no effect, the run is on the {device.type}"] if tf32 is True else []
    if isinstance(tf32, bool):
        return [f"tf32: {'convolutions and matrix products' if tf32 else 'none'}"]
    taken = ["convolutions"] if torch.backends.cudnn.allow_tf32 else []
    taken += ["matrix products"] if torch.get_float32_matmul_precision() != "highest" else []
    return [f"tf32: {' and '.join(taken) or 'none'}, as PyTorch has it"]
