"""Passes that torch sees as a whole."""

from __future__ import annotations

import torch
from torch.autograd import forward_ad


def transformed() -> bool:
    """Tell if torch.compile, torch.export, ``torch.func`` or forward-mode differentiation look at the present pass.

    They take torch's own functions only: another ``torch.autograd.Function`` stops them, and what Python looks up
    breaks a compiled network into pieces.
    """
    return (
        torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
    )
