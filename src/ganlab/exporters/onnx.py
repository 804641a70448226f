"""An ONNX graph, for onnxruntime and what else reads ONNX."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ganlab.exporters.portable import Made
from ganlab.runs import exported

NAME = "onnx"
ABOUT = "an ONNX graph with batches of any size, for onnxruntime"
SUFFIX = ".onnx"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def write(made: Made, path: Path) -> None:
    """Write the graph, and compare what onnxruntime makes of it."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = torch.onnx.export(made.program, dynamo=True, verbose=False, output_names=["images"])
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    assert graph is not None
    graph.model.metadata_props[exported.METADATA] = made.about.json()
    graph.save(str(path), external_data=False)
    made.refuse_other_images(lambda given: run(path, given), f"The ONNX graph of {made.about.name}")


def run(path: Path, given: Mapping[str, Tensor]) -> Tensor:
    """Images of a graph, by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (images,) = session.run(["images"], {name: tensor.numpy() for name, tensor in given.items()})
    return torch.from_numpy(images)


def is_own(path: Path) -> bool:
    """Tell if a file is an export."""
    import onnx

    properties = onnx.load(str(path), load_external_data=False).metadata_props
    return any(entry.key == exported.METADATA for entry in properties)
