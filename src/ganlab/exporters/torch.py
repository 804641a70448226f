"""A torch.export program: runs wherever torch does, without ganlab."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ganlab.exporters.portable import Made
from ganlab.runs import exported

NAME = "torch"
ABOUT = "a torch.export program: torch.export.load(FILE).module()(z=..., label=...)"
SUFFIX = ".pt2"
PACKAGES: tuple[str, ...] = ()
DESCRIPTION = "ganlab.json"  # beside the program, in its archive


def write(made: Made, path: Path) -> None:
    """Write the program, and compare what it makes."""
    save(made, path)
    made.refuse_other_images(lambda given: run(load(path), given), f"The torch.export program of {made.about.name}")


def save(made: Made, path: Path) -> None:
    """Write the program with its description."""
    buffer = io.BytesIO()  # the writer in C++ ends the process where a file of Python's raises, as on a full disk
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about tensors that share memory
        torch.export.save(made.program, buffer, extra_files={DESCRIPTION: made.about.json()})
    path.write_bytes(buffer.getbuffer())


def save_without_weights(made: Made, path: Path) -> None:
    """Write the program with zeros that take no room for weights; it computes nothing until others are loaded."""
    state = made.program.state_dict
    weights = dict(state)
    try:
        for name, tensor in weights.items():
            nothing = torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)
            state[name] = nn.Parameter(nothing, requires_grad=False) if isinstance(tensor, nn.Parameter) else nothing
        save(made, path)
    finally:
        state.update(weights)


def load(path: Path) -> nn.Module:
    """Read a program as a module."""
    with path.open("rb") as file:
        module: nn.Module = torch.export.load(file).module()
    return module


def run(module: nn.Module, given: Mapping[str, Tensor]) -> Tensor:
    """Images of a program."""
    images: Tensor = module(**given)
    return images


def is_own(path: Path) -> bool:
    """Tell if a file is an export."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(f"extra/{DESCRIPTION}")]
        return bool(names) and json.loads(archive.read(names[0])).get("format") == exported.FORMAT
