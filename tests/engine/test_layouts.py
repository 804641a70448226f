"""Maps stay channels-last through an iteration: a change of layout is a pass over memory that computes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ganlab.assembly import experiment
from ganlab.bench.regularizer_cost import Engine
from ganlab.config import compose

SIZES = ["data.image_channels=3", "data.batch_size=4"]
NARROW = ["generator.max_width=16", "discriminator.max_width=16"]
CASES = {
    "biggan": ["model=biggan", "reg=sn", "data.image_size=64", "generator.width=8", "discriminator.width=8"],
    "sngan": ["model=sngan", "reg=sn", "data.image_size=32", "generator.width=8", "discriminator.width=8"],
    "r1": ["model=gan_stability", "loss=r1", "data.image_size=32", "generator.width=4", "discriminator.width=4"],
    "pggan": ["model=pggan", "loss=wgan_gp", "data.image_size=16", *NARROW],
    "stylegan2": ["model=stylegan2", "data.image_size=16", *NARROW],
}


class Copies(TorchDispatchMode):
    """Collects the sizes of maps (B, C, H, W) that are copied from one memory format to the other."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in ("clone", "_to_copy", "copy_", "contiguous"):
            source = args[1] if func.overloadpacket.__name__ == "copy_" else args[0]
            maps = isinstance(source, Tensor) and source.ndim == 4 and len(source) == 4 and source.dtype == out.dtype
            if maps and layouts(source).isdisjoint(layouts(out)):
                self.sizes.append((source.shape[2], source.shape[3]))
        return out


def layouts(x: Tensor) -> set[torch.memory_format]:
    """Return the memory formats that a tensor has; of one with a single channel or pixel they are both."""
    formats = (torch.contiguous_format, torch.channels_last)
    return {each for each in formats if x.is_contiguous(memory_format=each)}


@pytest.mark.parametrize("case", CASES)
def test_maps_change_their_layout_where_they_become_vectors_alone(case: str) -> None:
    """A vector of a linear layer is a map of 4x4 pixels channel by channel, as the references' weights have it."""
    torch.manual_seed(0)
    engine = Engine(experiment.build(compose.read([*SIZES, *CASES[case]])))
    engine.iterate()
    with Copies() as copies:
        engine.iterate()
    assert set(copies.sizes) <= {(4, 4)}
    assert len(copies.sizes) <= 6
