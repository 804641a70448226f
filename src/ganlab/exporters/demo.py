"""The same folder with a Gradio app: a Space of the Hugging Face Hub runs it as it is."""

from __future__ import annotations

import importlib.util
import shutil
from importlib.metadata import version
from pathlib import Path

import torch

from ganlab.core.errors import GanlabError
from ganlab.exporters import card, hub
from ganlab.exporters.portable import Made

NAME = "demo"
ABOUT = "a folder with a Gradio app (seed, class, truncation, interpolation), which a Space runs as it is"
SUFFIX = ""
PACKAGES = ("safetensors",)
APP, REQUIREMENTS = "app.py", "requirements.txt"
FILES = (*hub.FILES, APP, REQUIREMENTS)
GRADIO = "6.31.0"  # the version that the app was tried with
_START = """```sh
pip install -r requirements.txt gradio
python app.py
```
"""


def write(made: Made, path: Path) -> None:
    """Write the folder.

    Raises:
        GanlabError: If the app could not draw latents; and as `ganlab.exporters.hub.write_parts`.
    """
    if made.about.latents is None:
        name = made.about.prior.get("component")
        raise GanlabError(f"format=demo draws its own latents, normal or uniform ones, and prior={name} is neither: "
                          f"take format=hub.")  # fmt: skip
    hub.write_parts(made, path, NAME)
    shutil.copyfile(hub.ASSETS / APP, path / APP)
    least = ".".join(torch.__version__.split(".")[:2])  # a graph is read by the torch that wrote it, and newer ones
    (path / REQUIREMENTS).write_text(f"torch>={least}\nsafetensors\nnumpy\npillow\n")
    installed = importlib.util.find_spec("gradio") is not None
    front = {
        "title": made.about.name,
        "sdk": "gradio",
        "sdk_version": version("gradio") if installed else GRADIO,
        "app_file": APP,
    }
    (path / hub.CARD).write_text(card.text(made, front, _START), encoding="utf-8")


def is_own(path: Path) -> bool:
    """Tell if a folder is an export, and nothing else is in it."""
    return hub.of_files(path, FILES)
