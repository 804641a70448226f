"""All formats of one generator: what is written, read again, and compared with the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import ganlab
from ganlab import exporters
from ganlab.exporters import hub, portable
from ganlab.exporters.portable import Fixed
from ganlab.runs.run import Run

BATCHES = (7, 1)


def differences(run: Run, folder: Path, formats: tuple[str, ...]) -> Iterator[tuple[str, int, float]]:
    """Write a run's generator in each format, and yield the format, a batch, and the largest difference of a pixel.

    Graphs get the latents, classes and noise that the run draws, without truncation; what ganlab reads draws its own.
    """
    made = portable.make(run, Fixed())
    for name in formats:
        form = exporters.chosen(name)
        path = folder / f"{name}{form.SUFFIX}"
        form.write(made, path)
        assert form.is_own(path)
        for count in BATCHES:
            expected = run.sample(count)
            given = made.inputs(count)
            if "psi" in given:
                given["psi"] = torch.ones(())
            for images in _read(form, path, given, count):
                assert images.shape == expected.shape
                yield name, count, float((images - expected).abs().max())


def _read(form: Any, path: Path, given: dict[str, Tensor], count: int) -> Iterator[Tensor]:
    name = form.NAME
    if name == "onnx":
        yield form.run(path, given)
    elif name == "torch":
        yield form.run(form.load(path), given)
    else:
        yield ganlab.load(path).sample(count)
    if name in ("hub", "demo"):
        with torch.no_grad():
            yield hub.loader(path).Generator(path).network(**given)
