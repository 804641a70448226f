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

    def network(self, component: str, options: dict[str, Any], image: tuple[int, int, int]) -> Network:
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
            common=("width", "max_width", *({"variant"} & options.keys())),
        )


def widths(channels: Sequence[int], source: str, hidden: int = 0) -> dict[str, int]:
    """``width`` and ``max_width`` that give maps of these channels, from the base on.

    Args:
        hidden: Length of the first dense layer's output, min(width, max_width), if it is known.

    Raises:
        GanlabError: If no width does.
    """
    most = max(channels[0], hidden)
    width = max(hidden, *(m << (level + 1) for level, m in enumerate(channels)))
    found = [min(width >> (level + 1), most) for level in range(len(channels))]
    if found != list(channels) or (hidden and hidden != min(width, most)):
        raise GanlabError(f"{source} has maps of {list(channels)} channels from the base on, which no width gives.")
    return {"width": width, "max_width": most}
