"""Files of other codes, read as data: tensors, plain values and containers."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlab import importers
from ganlab.core.differences import is_plain
from ganlab.core.errors import GanlabError
from ganlab.core.files import named, unreadable
from ganlab.importers import legacy, pickles
from ganlab.importers.records import Record

SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".npz")
PICKLES = (".pkl", ".pickle")
SAFE = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}


def files(given: str) -> dict[Path, Any]:
    """Return what a file, or each file of a folder, holds.

    Raises:
        GanlabError: If there is none, or one cannot be read safely.
    """
    path = named(given, "a checkpoint")
    if os.path.isfile(path):
        return {path: read(path)}
    if not os.path.isdir(path):
        raise GanlabError(f"There is no file {given}.")
    found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and os.path.isfile(file))
    pickled = [file for file in path.iterdir() if file.suffix in PICKLES]
    if not found and pickled:
        return {pickled[0]: read(pickled[0])}
    if not found:
        raise GanlabError(f"{given} has no checkpoint in it: no file that ends in {', '.join(SUFFIXES)}.")
    return {file: read(file) for file in found}


def read(path: Path) -> Any:
    """Return what a file holds: tensors, plain values and containers, and `Record` objects.

    Raises:
        GanlabError: If it cannot be read safely.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise unreadable(path, error) from error
    if path.suffix in PICKLES:
        return pickles.read(path.read_bytes(), str(path))
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        if path.suffix == ".npz":
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:  # numpy leaves a torn one open
                return {name: torch.from_numpy(np.array(file[name])) for name in file.files}
        content = _of_torch(path)
        _refuse_strange(content)
        return content
    except Exception as error:  # whatever a torn or foreign file makes pickle, zipfile or torch raise
        first = (str(error).splitlines() or [""])[0][:120]
        raise GanlabError(
            f"{path} holds no plain tensors that torch can read safely ({type(error).__name__}: {first}): if it is cut "
            f"short, copy it again; if it holds other objects, save the state_dict() of each network with its own code."
        ) from error


def _of_torch(path: Path) -> Any:
    """Return what torch.save wrote; a whole model of the older format is read by `legacy`."""
    try:
        with torch.serialization.safe_globals(importers.stand_ins()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path) or "persistent_load" not in str(error):
            raise
        return legacy.read(path.read_bytes())


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """The format is a length, a JSON table of types, shapes and offsets, and the bytes."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    table = json.loads(content[8 : 8 + length])
    body = bytearray(content[8 + length :])
    tensors = {}
    for name, entry in table.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            values = torch.frombuffer(body[start:end], dtype=SAFE[entry["dtype"]]) if end > start else torch.empty(0)
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def _refuse_strange(content: Any) -> None:
    """Refuse tensors that are sparse, quantized, complex or on no device."""
    if isinstance(content, Tensor) and (not is_plain(content) or content.is_complex()):
        raise ValueError("a tensor is sparse, quantized, complex or on no device")
    if isinstance(content, Record):
        content = content.tensors()
    if isinstance(content, Mapping):
        content = list(content.values())
    if isinstance(content, (list, tuple)):
        for part in content:
            _refuse_strange(part)
