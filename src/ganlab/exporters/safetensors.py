"""One file of weights, with the description in its metadata, that ganlab reads."""

from __future__ import annotations

from pathlib import Path

from ganlab.exporters.portable import Made
from ganlab.runs import exported

NAME = "safetensors"
ABOUT = "weights, and in the metadata what builds the generator: for ganlab.load and ganlab sample"
SUFFIX = exported.SUFFIX
PACKAGES = ("safetensors",)


def write(made: Made, path: Path) -> None:
    """Write the weights of the folded generator."""
    write_weights(made, path, {exported.METADATA: made.about.json()})


def write_weights(made: Made, path: Path, metadata: dict[str, str]) -> None:
    """Write the weights with other metadata than their description."""
    from safetensors.torch import save

    path.write_bytes(save(made.weights(), {"format": "pt", **metadata}))  # its own save_file leaves a file of mode 600


def is_own(path: Path) -> bool:
    """Tell if a file is an export."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return exported.METADATA in (file.metadata() or {})
