"""A torch.export program: runs wherever torch does, without ganlab."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from ganlab.exporters import portable
from ganlab.exporters.portable import Made
from ganlab.runs import exported

NAME = "torch"
ABOUT = "a torch.export program: torch.export.load(FILE).module()(z=..., label=...)"
SUFFIX = ".pt2"
PACKAGES: tuple[str, ...] = ()
DESCRIPTION = "ganlab.json"  # beside the program, in its archive


def write(made: Made, path: Path) -> None:
    """Write the program, and compare what it makes."""
    save(portable.program(made), path, made)
    made.refuse_other_images(lambda given: run(load(path), given), f"The torch.export program of {made.about.name}")


def save(program: ExportedProgram, path: Path, made: Made) -> None:
    """Write a program with its description."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about tensors that share memory
        with path.open("wb") as file:
            torch.export.save(program, file, extra_files={DESCRIPTION: made.about.json()})


def load(path: Path) -> nn.Module:
    """Read a program as a module."""
    with path.open("rb") as file:
        module: nn.Module = torch.export.load(file).module()
    return module


def run(module: nn.Module, given: Mapping[str, Tensor]) -> Tensor:
    """Images of a program."""
    images: Tensor = module(**given)
    return images


def without_weights(program: ExportedProgram) -> ExportedProgram:
    """Replace the weights of a program by zeros that take no room; it computes nothing until others are loaded."""
    state = program.state_dict
    for name, tensor in list(state.items()):
        nothing = torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)
        state[name] = nn.Parameter(nothing, requires_grad=False) if isinstance(tensor, nn.Parameter) else nothing
    return program


def is_own(path: Path) -> bool:
    """Tell if a file is an export."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(f"extra/{DESCRIPTION}")]
        return bool(names) and json.loads(archive.read(names[0])).get("format") == exported.FORMAT
