"""Sizes of images in messages."""

from __future__ import annotations

from collections.abc import Sequence


def words(size: Sequence[int]) -> str:
    """Return ``800x600``, width x height as viewers of pictures say it, for a size (height, width)."""
    height, width = size
    return f"{width}x{height}"
