"""A folder for the Hugging Face Hub: weights, description, graph, model card, and a loader without ganlab."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

from ganlab.core.errors import GanlabError
from ganlab.exporters import card, safetensors
from ganlab.exporters import torch as programs
from ganlab.exporters.portable import Made
from ganlab.runs import exported
from ganlab.runs.standing import standing
from ganlab.sampling import generation

NAME = "hub"
ABOUT = "a folder for the Hugging Face Hub, with a model card and a loader that needs no ganlab"
SUFFIX = ""
PACKAGES = ("safetensors",)
GRAPH, LOADER, CARD = "graph.pt2", "generator.py", "README.md"
FILES = (exported.CONFIG, exported.WEIGHTS, GRAPH, LOADER, CARD, card.PICTURE)
ASSETS = Path(__file__).parent / "assets"
_LOAD = """With ganlab:

```python
import ganlab

images = ganlab.load("hf://OWNER/NAME").sample(16)  # or this folder; float32 in [-1, 1]
```

Without it, with torch and safetensors, by `generator.py` in this folder:

```python
from generator import Generator

images = Generator().sample(16)
```
"""


def write(made: Made, path: Path) -> None:
    """Write the folder."""
    write_parts(made, path, NAME)
    load = _LOAD.replace("OWNER/NAME", made.hub_name or "OWNER/NAME")
    if made.about.latents is None:  # of a prior that config.json cannot describe
        load = load.replace("Generator().sample(16)", "Generator().images(z)  # of your own z")
    front = {"library_name": "ganlab", "pipeline_tag": "unconditional-image-generation"}
    (path / CARD).write_text(card.text(made, front, load), encoding="utf-8")


def write_parts(made: Made, path: Path, form: str) -> None:
    """Write all but the card, and compare what the loader makes.

    Raises:
        GanlabError: If a licence is none, the run makes points, or the generator cannot be traced.
    """
    if made.run.makes_points:
        raise GanlabError(f"format={form} shows images, and this run makes points: take safetensors, torch or onnx.")
    card.refuse_license("license", made.license)
    card.refuse_license("data_license", made.data_license)
    path.mkdir()
    (path / exported.CONFIG).write_text(made.about.json(), encoding="utf-8")
    safetensors.write_weights(made, path / exported.WEIGHTS, {})
    programs.save_without_weights(made, path / GRAPH)
    shutil.copyfile(ASSETS / LOADER, path / LOADER)
    _write_samples(made, path / card.PICTURE)
    network = loader(path).Generator(path).network
    made.refuse_other_images(lambda given: programs.run(network, given), f"{LOADER} of {made.about.name}")


def loader(folder: Path) -> Any:
    """Import the loader that lies in a folder which was written just now."""
    spec = importlib.util.spec_from_file_location("ganlab_exported_generator", ASSETS / LOADER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _write_samples(made: Made, path: Path) -> None:
    about, run = made.about, made.run
    columns = min(about.num_classes, 10) if about.labelled else 8
    count = 4 * columns
    labels = [i % columns for i in range(count)] if about.labelled else None
    noise = None if about.noise is None else exported.NOISE[about.noise]
    with standing(run, about.standing_statistics, about.truncation):
        images = run.sample(count, labels, truncation=about.truncation, psi=about.psi, cutoff=about.cutoff, noise=noise)
    generation.write_png(generation.grid(images, columns), path)


def is_own(path: Path) -> bool:
    """Tell if a folder is an export, and nothing else is in it."""
    return of_files(path, FILES)


def of_files(path: Path, known: tuple[str, ...]) -> bool:
    """Tell if a folder is an export of ganlab with these files at most."""
    names = {entry.name for entry in path.iterdir()} - {"__pycache__"}
    content = json.loads((path / exported.CONFIG).read_text(encoding="utf-8"))
    return names <= {*known} and content.get("format") == exported.FORMAT
