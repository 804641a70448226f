"""Ten iterations of other codes' training: what they and ours are given, and what fixtures keep of the outcome.

Weights, pixels and draws are functions of their names (numpy only), so a fixture holds results alone.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from native import numbers
from torch import Tensor

FOLDER = Path(__file__).parent / "trained"
ITERATIONS = 10
KEPT = 12  # numbers of a tensor


class Draws:
    """The draws of training, by purpose, in the order in which they are made."""

    def __init__(self, case: str) -> None:
        self.case = case
        self._counts: Counter[str] = Counter()

    def normal(self, *shape: int) -> Tensor:
        return torch.from_numpy(self._random("latents").standard_normal(shape))

    def noise(self, *shape: int) -> Tensor:
        return torch.from_numpy(self._random("noise").standard_normal(shape))

    def order(self, count: int) -> Tensor:
        return torch.from_numpy(self._random("order").permutation(count))

    def uniform(self, *shape: int) -> Tensor:
        return torch.from_numpy(self._random("interpolation").random_sample(shape))

    def dequantization(self, *shape: int) -> Tensor:
        return torch.from_numpy(self._random("dequantization").random_sample(shape))

    def mask(self, purpose: str, *shape: int) -> Tensor:
        """Uniform numbers, of which dropout drops the small ones."""
        return torch.from_numpy(self._random(purpose).random_sample(shape))

    def labels(self, count: int, classes: int) -> Tensor:
        return torch.from_numpy(self._random("labels").randint(classes, size=count))

    def reals(self, count: int, size: int, classes: int) -> tuple[Tensor, Tensor]:
        """Bytes (count, 3, size, size), and labels."""
        random = self._random("reals")
        pixels = random.randint(256, size=(count, 3, size, size)).astype(np.uint8)
        return torch.from_numpy(pixels), torch.from_numpy(random.randint(max(classes, 1), size=count))

    def _random(self, purpose: str) -> np.random.RandomState:
        self._counts[purpose] += 1
        return np.random.RandomState(zlib.crc32(f"{self.case}/{purpose}/{self._counts[purpose]}".encode()))


def weights(case: str, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """A value for each tensor of a network that is about to be trained; vectors of spectral norm are unit vectors."""
    state = {}
    for name, shape in shapes.items():
        slow = 100 if name.startswith("mapping.fc") else 1  # learns 0.01 times as fast, and is as much larger
        last = name.rpartition(".")[2]
        value = numbers(f"{case}/{name}", tuple(shape)).double()
        if last.startswith(("u0", "sn_u", "weight_u", "weight_v")) or name.endswith("/u"):
            value = value / value.norm()
        elif last in ("running_var", "stored_var", "sv0", "sn_sigma"):
            value = torch.ones_like(value)
        elif last in ("num_batches_tracked", "running_mean", "stored_mean"):
            value = torch.zeros_like(value)
        elif last in ("Kernel", "resample_filter"):
            row = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
            value = torch.outer(row, row)
        elif last == "gain" and value.ndim == 1:
            value = 1 + 0.2 * value
        elif value.ndim >= 2:
            scaled_in_use = {"zoo": 2.0, "stylegan2": 1.3}.get(case.partition("/")[0].partition("_")[0])
            value = slow * scaled_in_use * value if scaled_in_use else value / max(1, value[0].numel()) ** 0.5
        else:
            value = 0.2 * slow * value
        state[name] = value
    return state


def images(pixels: Tensor) -> Tensor:
    """Bytes as what networks see, in [-1, 1]."""
    return pixels.double() / 127.5 - 1


def kept(value: Tensor) -> Tensor:
    flat = value.detach().contiguous().double().flatten()
    return flat[:: flat.numel() // KEPT | 1]


def save(
    case: str, about: Mapping[str, Any], losses: Mapping[str, Sequence[float]], networks: Mapping[str, Any]
) -> None:
    """Write a fixture.

    Args:
        about: JSON: ``source`` and whatever the test is to know.
        losses: What the code computed, in order, by its name there.
        networks: Name -> state dictionary after the last iteration.
    """
    arrays = {f"losses/{name}": np.asarray(values, np.float64) for name, values in losses.items()}
    names = {network: {name: len(kept(value)) for name, value in state.items()} for network, state in networks.items()}
    for network, state in networks.items():
        arrays[network] = torch.cat([kept(value) for value in state.values()]).numpy()
    path = FOLDER / f"{case}.npz"
    stored: dict[str, Any] = {**arrays, "about": np.array(json.dumps({**about, "kept": names}))}
    np.savez_compressed(path, **stored)
    ends = {name: f"{values[0]:.3g} .. {values[-1]:.3g}" for name, values in losses.items()}
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, losses {ends}")


def read(case: str) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """``about``, losses by name, and for each network some numbers of each tensor by its name there."""
    with np.load(FOLDER / f"{case}.npz", allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        losses = {key.partition("/")[2]: torch.from_numpy(file[key]) for key in file.files if key.startswith("losses/")}
        networks = {
            network: dict(zip(counts, torch.from_numpy(file[network]).split(list(counts.values())), strict=True))
            for network, counts in about["kept"].items()
        }
    return about, losses, networks
