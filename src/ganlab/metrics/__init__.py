"""Metrics: summaries of streams of images and their features, and the scores that are made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganlab.metrics.streamed import as_torchmetric

__all__ = ["as_torchmetric"]


def __getattr__(name: str) -> Any:
    """Import what needs torchmetrics when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'ganlab.metrics' has no attribute {name!r}")
    from ganlab.metrics import streamed

    return getattr(streamed, name)
