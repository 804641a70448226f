"""Checkpoints of growing networks as other codes save them: values are functions of names."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from values import fill, read


def configuration(**values: object) -> object:
    """An object of the class that pytorch_GAN_zoo's files have in them."""
    made = type("BaseConfig", (), {"__module__": "models.utils.config", "__qualname__": "BaseConfig"})()
    vars(made).update(values)
    return made


@contextmanager
def picklable(thing: object) -> Iterator[None]:
    """Pickle finds the class of ``thing`` where it says that it is."""
    kind, before = type(thing), dict(sys.modules)
    parts = kind.__module__.split(".")
    for i in range(len(parts)):
        sys.modules[".".join(parts[: i + 1])] = types.ModuleType(parts[i])
    setattr(sys.modules[kind.__module__], kind.__name__, kind)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == parts[0]]:
            sys.modules.pop(name)
        sys.modules.update({name: module for name, module in before.items() if name.partition(".")[0] == parts[0]})


def write(case: str, folder: Path, alpha: float = 1.0, **config: Any) -> Path:
    """The files as the other code saves them."""
    about, _ = read(case)
    folder.mkdir(parents=True, exist_ok=True)
    states: dict[str, dict[str, Any]] = {
        name: fill(f"{case}/{name}", shapes) for name, shapes in about["files"].items()
    }
    if about["format"] == "gan_zoo":
        content = {name: {key: torch.from_numpy(v) for key, v in state.items()} for name, state in states.items()}
        content["avgG"] = content["netG"]
        settings = configuration(alpha=1.0 - alpha, **config)
        with picklable(settings):
            torch.save({"config": settings, **content}, folder / "zoo.pt")
    else:
        for name, state in states.items():
            np.savez(folder / name, **state)
    return folder
