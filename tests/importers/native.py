"""Checkpoints of other codes as they save them: values are functions of names, so a fixture holds names and outputs."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FIXTURES = Path(__file__).parent / "fixtures"
TAPS = (0.125, 0.375, 0.3125, 0.1875)  # of a filter that is not symmetric
BATCH, CLASSES = 3, 5


def numbers(name: str, shape: tuple[int, ...]) -> Tensor:
    """N(0, 1), the same for a name everywhere: numpy keeps this stream as it is."""
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    return torch.from_numpy(np.asarray(values, np.float32))


def fill(case: str, shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """A value for every tensor: each parameter and buffer is random, and none is what it starts as."""
    state: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        values = numbers(f"{case}/{name}", tuple(shape))
        if "var" in name:
            values = 0.5 + values.square()
            if name == "generator.bn.running_vars":  # what arrives there is large: without this, tanh is ±1 everywhere
                values = 1e6 * values
        elif name.endswith(("u0", "sn_u", "weight_u", "weight_v")):
            values = values / values.norm()
        elif name.endswith(("sv0", "sn_sigma", "num_batches_tracked", "accumulation_counter")):
            values = torch.zeros_like(values)
        elif name.endswith(("Kernel", "resample_filter", ".kernel")):
            values = torch.outer(torch.tensor(TAPS), torch.tensor(TAPS))
            if case.startswith("rosinality/G"):  # they follow a doubling
                values = 4 * values
        elif name.startswith(("mapping.fc", "style.")):  # learns 0.01 times as fast, and is as much larger
            values = values * (100 if values.ndim == 2 else 30)
        elif case.startswith(("stylegan2", "rosinality")) and values.ndim:  # scaled where it is used
            values = values if values.ndim >= 2 else 0.3 * values
        elif values.ndim >= 2:
            values = values * (1.5 / max(1, values[0].numel()) ** 0.5)
        else:
            values = 0.2 * values
        state[name] = values.long() if name.endswith("num_batches_tracked") else values
    for name in [name for name in state if name.endswith("weight_v")]:  # near enough that σ is not near 0
        matrix, u = state[name.replace("_v", "_orig")].flatten(1), state[name.replace("_v", "_u")]
        state[name] = F.normalize(F.normalize(matrix.t() @ u, dim=0) + 0.3 * state[name], dim=0)
    return state


def inputs(
    case: str, latent_dim: int, size: int, classes: int, step: int | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """z, x and y of evaluation, or of a pass in training mode."""
    at = "" if step is None else str(step)
    z = numbers(f"{case}/z{at}", (BATCH, latent_dim))
    x = torch.tanh(numbers(f"{case}/x{at}", (BATCH, 3, size, size)))
    return z, x, torch.tensor([0, 4, 2]).roll(step or 0) if classes else None


def moves(name: str) -> bool:
    """Tell if a tensor of another code moves in training mode without an optimizer."""
    return bool(re.search(r"(^|\.)(u0|sn_u|weight_[uv]|(running|stored)_(mean|var))$|^mapping\.w_avg$", name))


def read(case: str) -> dict[str, Any]:
    """The content of a fixture: ``files`` {name: {tensor: shape}}, ``size``, ``latent_dim``, ``classes``, and arrays.

    The arrays are ``FILE/eval``, and ``FILE/train`` (3, ...), three passes in training mode, with ``FILE/state``,
    the tensors that move, after them, in the order of their names and thinned.
    """
    with np.load(FIXTURES / f"{case}.npz", allow_pickle=False) as file:
        found: dict[str, Any] = {key: torch.from_numpy(file[key]) for key in file.files if "/" in key}
        return {**json.loads(str(file["about"])), **found}


def write(case: str, folder: Path, about: dict[str, Any]) -> None:
    """The files, as the other code saves them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, shapes in about["files"].items():
        state: Any = fill(f"{case}/{name}", shapes)
        if about["format"] == "mimicry":
            state = {"model_state_dict": state, "optimizer_state_dict": None, "global_step": 7}
        torch.save(state, folder / name)


def thinned(value: Tensor) -> Tensor:
    """Some 800 values at most: enough to tell outputs apart, and small."""
    return value.contiguous().flatten()[:: value.numel() // 800 | 1]


def kept(state: Tensor) -> Tensor:
    """Every 4th value of a tensor that moves."""
    return state.flatten()[::4]
