"""Values and inputs for networks that grow, by name: numpy only, for the environments of other codes."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

FIXTURES = Path(__file__).parent / "growing"
ALPHAS = (0.0, 0.3, 1.0)
IMAGES = 8  # of a discriminator's batch: two groups of its standard deviation
LATENTS = 3
KEPT = 500  # numbers of an output
PSI, CUTOFF = 0.7, 3


def numbers(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """N(0, 1), the same for a name everywhere: numpy keeps this stream as it is."""
    return np.asarray(np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape), np.float32)


def fill(case: str, shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """A value for every tensor: each parameter and buffer is random, and none is what it starts as."""
    state = {}
    for name, shape in shapes.items():
        values = numbers(f"{case}/{name}", tuple(shape))
        if name.startswith("G_mapping/Dense"):  # learns 0.01 times as fast, and is as much larger
            values = values * (100 if name.endswith("weight") else 30)
        elif name.rpartition("/")[2] == "lod":
            values = np.zeros((), np.float32)
        elif len(shape) == 1:
            values = 0.3 * values
        state[name] = values.astype(np.float32)
    return state


def latents(case: str, length: int) -> np.ndarray:
    return numbers(f"{case}/z", (LATENTS, length))


def images(case: str, channels: int, size: int) -> np.ndarray:
    return np.tanh(numbers(f"{case}/x/{size}", (IMAGES, channels, size, size)))


def labels(case: str, count: int, classes: int) -> np.ndarray | None:
    return np.abs(numbers(f"{case}/y", (count,)) * 1000).astype(np.int64) % classes if classes else None


def one_hot(y: np.ndarray | None, count: int, classes: int) -> np.ndarray:
    return np.zeros((count, 0), np.float32) if y is None else np.eye(classes, dtype=np.float32)[y]


def stages(levels: int) -> list[tuple[int, float]]:
    """Every level at every alpha; the base cannot fade in."""
    return [(0, 1.0), *((level, alpha) for level in range(1, levels + 1) for alpha in ALPHAS)]


def kept(output: np.ndarray) -> np.ndarray:
    """At most so many numbers of an output, spread over it."""
    flat = np.ascontiguousarray(output).reshape(-1)
    step = len(flat) // KEPT
    return flat[:: step + (step > 0 and step % 2 == 0) or 1]


def save(case: str, about: dict[str, Any], outputs: dict[str, Any]) -> None:
    FIXTURES.mkdir(exist_ok=True)
    np.savez_compressed(FIXTURES / f"{case}.npz", about=json.dumps(about), **outputs)


def read(case: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The content of a fixture: ``files`` {name: {tensor: shape}} and the options of the network; outputs."""
    with np.load(FIXTURES / f"{case}.npz", allow_pickle=False) as file:
        return json.loads(str(file["about"])), {key: file[key] for key in file.files if key != "about"}
