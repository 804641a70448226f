"""Checks of the arguments of a network."""

from __future__ import annotations

from torch import Tensor

from ganlab.core.checks import at_least


def check_latents(z: Tensor, latent_dim: int) -> None:
    """Raise ``ValueError`` unless ``z`` is (B, latent_dim)."""
    if z.ndim != 2 or z.shape[1] != latent_dim:
        raise ValueError(f"expected latents of shape (batch, {latent_dim}), got {tuple(z.shape)}")


def check_labels(y: Tensor | None, num_classes: int) -> Tensor | None:
    """The labels that a network uses: ``y``, or None if it has no classes.

    A network without classes ignores labels, so a conditional network may play an unconditional one.

    Raises:
        ValueError: If the network has classes and ``y`` is None.
    """
    if num_classes == 0:
        return None
    if y is None:
        raise ValueError(f"expected labels 0 to {num_classes - 1} for a network with {num_classes} classes, got none")
    return y


def check_positive(**numbers: int) -> None:
    """Raise ``ValueError`` for the first number below 1; widths, lengths and counts of a network."""
    for name, number in numbers.items():
        at_least(name, number, 1)
