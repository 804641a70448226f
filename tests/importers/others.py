"""Checkpoints of GAN_stability, VGAN, IntroVAE and MEG as they save them, and what fixtures hold of them.

Values are functions of names, as in `native`. A fixture holds shapes, outputs in evaluation and three times in training
mode, the batch statistics after that, and the gradient of the last output.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from native import fill, kept, numbers, thinned
from torch import Tensor

FOLDER = Path(__file__).parent / "others"
PARTS = {"generator": "G", "discriminator": "D", "generator_test": "average"}
FILES = {"G": "netG.pt", "D": "netE.pt", "H": "netH.pt"}
BATCH = 3


def given(case: str, size: int, latent_dim: int, classes: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """z, x and y of a pass."""
    z = numbers(f"{case}/z{step}", (BATCH, latent_dim))
    x = torch.tanh(numbers(f"{case}/x{step}", (BATCH, 3, size, size)))
    return z, x, torch.tensor([0, 4, 2]).roll(step) % max(1, classes)


def noise(like: Tensor) -> Tensor:
    """The noise of a bottleneck, a function of its shape."""
    seed = zlib.crc32(str(tuple(like.shape)).encode())
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(tuple(like.shape))).to(like)


def values(case: str, network: str, shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    return fill(f"{case}/{network}", shapes)


def slope(case: str, output: Tensor) -> Tensor:
    """A number whose gradient is compared: a random product with the output."""
    return (numbers(f"{case}/slope", tuple(output.shape)).to(output) * output).sum()


def read(case: str) -> dict[str, Any]:
    with np.load(FOLDER / f"{case}.npz", allow_pickle=False) as file:
        found: dict[str, Any] = {key: torch.from_numpy(file[key]) for key in file.files if "/" in key}
        return {**json.loads(str(file["about"])), **found}


def write(case: str, folder: Path, about: dict[str, Any]) -> None:
    """The files, as the other code saves them; a whole model is written by `modules.save`."""
    folder.mkdir(parents=True, exist_ok=True)
    states = {network: values(case, network, shapes) for network, shapes in about["shapes"].items()}
    if about["format"] == "meg":
        for network, state in states.items():
            torch.save(state, folder / FILES[network])
    elif about["format"] == "gan_stability":
        content: dict[str, Any] = {"it": 7, "epoch_idx": 1, "g_optimizer": {"state": {}, "param_groups": []}}
        content |= {key: {f"module.{n}": v for n, v in states[of].items()} for key, of in PARTS.items() if of in states}
        torch.save(content, folder / "model.pt")
    else:
        whole = {f"{part}.{n}": v for part, of in (("decoder", "G"), ("encoder", "D")) for n, v in states[of].items()}
        torch.save(whole, folder / "model_epoch_1_iter_0.pth")


def outcome(case: str, network: str, outputs: list[Tensor], state: dict[str, Tensor], grads: dict[str, Tensor]) -> Any:
    """Arrays of a fixture for a network: its passes, the first in evaluation; what moved; the gradient."""
    arrays = {f"{network}/eval": thinned(outputs[0]), f"{network}/train": torch.stack([*map(thinned, outputs[1:])])}
    moved = [kept(value) for name, value in sorted(state.items()) if "running" in name]
    if moved:
        arrays[f"{network}/state"] = torch.cat(moved)
    arrays[f"{network}/gradient"] = torch.cat([thinned_gradient(value) for _, value in sorted(grads.items())])
    return {name: value.detach().float().numpy() for name, value in arrays.items()}


def thinned_gradient(value: Tensor) -> Tensor:
    """Some ten numbers of a tensor."""
    flat = value.contiguous().flatten()
    return flat[:: len(flat) // 10 | 1]
