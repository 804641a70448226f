"""Renaming, widths and levels, for importers of growing networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.importers.network import Network, Tensors


class Renaming:
    """Tensors taken from a file one by one, each with its name here and how it is laid out."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self.state: dict[str, Tensor] = {}
        self.sources: dict[str, str] = {}
        self._unused: set[str] = set()

    def take(self, theirs: str, ours: str, layout: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        """The tensor ``theirs`` under the name ``ours``.

        Raises:
            GanlabError: If there is none, or it has another number of dimensions than the layout is for.
        """
        value = self.tensors[theirs]
        try:
            self.state[ours] = layout(value).contiguous()
        except RuntimeError as error:
            raise GanlabError(f"{theirs} has a shape that does not fit, {tuple(value.shape)}.") from error
        self.sources[ours] = theirs

    def ignore(self, *theirs: str) -> None:
        """Leave out tensors on which no output depends."""
        self._unused.update(theirs)

    def set_level(self, prefix: str, level: int, alpha: float, source: str) -> None:
        """Set the level and the share of the newest one; ``source`` names the tensor that says so."""
        for name, value in (("alpha", torch.tensor(alpha)), ("_extra_state", torch.tensor(level))):
            self.state[prefix + name], self.sources[prefix + name] = value, source

    def network(
        self,
        component: str,
        options: dict[str, Any],
        image: tuple[int, int, int],
        common: tuple[str, ...] = ("width", "max_width", "variant"),
    ) -> Network:
        taken = {*self.sources.values(), *self._unused}
        names = self.sources
        return Network(
            component,
            options,
            self.state,
            lambda ours: names.get(ours, ours),
            image=image,
            sources=dict(names),
            surplus=[name for name in self.tensors if name not in taken],
            common=tuple(name for name in common if name in options),
        )


def widths(channels: Sequence[int], source: str, hidden: int = 0) -> dict[str, Any]:
    """Return ``width`` and ``max_width`` that give maps of these channels, from the base on, or the list as ``width``.

    Args:
        hidden: Length of the first dense layer's output, min(width, max_width), if it is known.

    Raises:
        GanlabError: If the dense layer goes with no width.
    """
    most = max(channels[0], hidden)
    width = max(hidden, *(m << (level + 1) for level, m in enumerate(channels)))
    found = [min(width >> (level + 1), most) for level in range(len(channels))]
    if found == list(channels) and (not hidden or hidden == min(width, most)):
        return {"width": width, "max_width": most}
    if hidden not in (0, channels[0]):
        raise GanlabError(
            f"{source} has maps of {list(channels)} channels from the base on and a dense layer of {hidden}, which no "
            f"width gives."
        )
    return {"width": tuple(channels)}


def taps(kernels: Sequence[Tensor], source: str) -> tuple[float, ...]:
    """Return the taps whose outer product each of these kernels is, as `ganlab.layers.fir.FIRFilter` takes them.

    Args:
        kernels: (K,), or (K, K) of sum 1; the codes turn them before use.

    Raises:
        GanlabError: If they are of another form, or not the same.
    """
    first = kernels[0].double()
    if first.ndim not in (1, 2) or first.shape[0] != first.shape[-1] or len(first) < 2:
        raise GanlabError(f"{source} resamples with a filter of shape {tuple(first.shape)}, which ours cannot have.")
    row = first if first.ndim == 1 else first.sum(0)
    row = row / row.sum()
    whole = first / first.sum() if first.ndim == 1 else first
    same = row if first.ndim == 1 else torch.outer(row, row)
    if not torch.allclose(whole, same, atol=1e-6) or any(
        k.shape != first.shape or not torch.allclose(k.double(), first, atol=1e-6) for k in kernels
    ):
        raise GanlabError(f"{source} resamples with filters that differ, or are no product of one row; ours are.")
    row = row.flip(0)
    scaled = row / row.abs().min() if row.abs().min() > 0 else row
    whole_numbers = scaled.round()
    return tuple((whole_numbers if torch.allclose(scaled, whole_numbers, atol=1e-4) else row).tolist())
