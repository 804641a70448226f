"""The model card of a folder: what the generator is, how it was trained, what it scores, how it is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import OmegaConf

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.exporters import card_scores, markdown
from ganlab.exporters.markdown import plain
from ganlab.exporters.portable import Made
from ganlab.runs import run_folder

PICTURE = "samples.png"
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_NETWORKS = ("generator", "discriminator", "encoder", "statistics")
_ELSEWHERE = ("run", "trainer", "checkpoint", "sample", "evaluate", "watch", "guard", "callback", "logger", "init")


def refuse_license(name: str, value: str | None) -> None:
    """Raises:
    GanlabError: If the Hub could not read a licence.
    """
    if value is not None and not _LICENSE.fullmatch(value):
        raise GanlabError(
            f"{name} must be a name as the Hub writes it, such as apache-2.0 or cc-by-4.0, got {value!r}."
        )


def text(made: Made, front: Mapping[str, Any], load: str) -> str:
    """Write the card, Markdown with a front matter.

    Args:
        made: What is exported.
        front: More of the front matter.
        load: How it is loaded or started.
    """
    about = made.about
    height, width = about.image_shape[1:]
    kind = "grey" if about.image_shape[0] == 1 else "colour"
    of_set = getattr(made.run.config["data"].maker, "license", None)
    matter = {"license": made.license or "unknown", "tags": ["gan", "ganlab", about.generator["component"]], **front}
    lines = [
        "---", OmegaConf.to_yaml(OmegaConf.create(matter)).strip(), "---", "", f"# {plain(about.name)}", "",
        f"A generator of {width} × {height} {kind} images ({plain(about.generator['component'])}), the average of "
        f"{about.iteration:,} iterations, trained with ganlab {about.ganlab}.", "",
        f"![samples]({PICTURE})", "", _of_samples(made), "",
        "## Load", "", load.strip(), "",
        "## Inputs", "", *_inputs(made), "",
        "## Recipe", "", *_recipe(made), "",
        "## Data", "", *_data(made), "",
        "## Scores", "", *card_scores.lines(made), "",
        "## Licence", "",
        f"Weights: {made.license or 'not stated'}. Data: {made.data_license or of_set or 'not stated'}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _of_samples(made: Made) -> str:
    about = made.about
    drawn = "Samples of seed 0, not chosen"
    if about.labelled:
        drawn += "; one class a column"
    return f"{drawn}. {_truncation(made)}"


def _truncation(made: Made) -> str:
    about, parts = made.about, []
    if about.truncation is not None:
        parts.append(f"no |z| exceeds {about.truncation:g}")
    if about.standing_statistics is not None:
        parts.append(f"batch norm has the mean statistics of {about.standing_statistics} passes of such latents")
    if about.psi is not None:
        layers = "" if about.cutoff is None else f" in the first {about.cutoff} layers"
        parts.append(f"truncation in w is ψ = {about.psi:g}{layers}")
    return f"Fixed in it: {'; '.join(parts)}." if parts else "Without truncation."


def _inputs(made: Made) -> Iterator[str]:
    about = made.about
    what = {
        "z": "latents, float32; their distribution is in config.json",
        "label": f"classes, int64, 0 to {about.num_classes - 1}",
        "psi": "truncation in w, a float32 number; 1: none",
        "noise": "N(0, 1), float32, of the layers' noise",
    }
    yield "| input | shape | what |"
    yield "| --- | --- | --- |"
    for name, shape in about.inputs.items():
        yield f"| `{name}` | ({', '.join(map(str, shape))}) | {what[name]} |"
    yield ""
    pixels = ", ".join(map(str, about.image_shape))
    yield f"Output: `images` (batch, {pixels}), float32, pixels from -1 to 1."
    if about.class_names:
        yield ""
        yield "Classes: " + ", ".join(f"{i} {plain(name)}" for i, name in enumerate(about.class_names)) + "."


def _recipe(made: Made) -> Iterator[str]:
    config = made.run.config
    parts = {kind: config[kind].name for kind in (*_NETWORKS, "loss", "game", "augment") if kind in config}
    parts["regularizers"] = ", ".join(config.of("reg")) or "none"
    parts["batch"] = f"{config.data.batch_size} images"
    parts["trained on"] = f"{made.run.module.progress.kimg:g} thousand images, in {made.run.iteration:,} iterations"
    parts["average"] = f"half-life {config.ema.half_life_kimg} kimg"
    parts["seed"] = str(config.seed)
    for name, value in parts.items():
        yield f"- {name}: {plain(value)}"
    yield ""
    options = {name: node for name, node in config.plain().items() if name not in _ELSEWHERE and node != {}}
    options["data"] = {name: value for name, value in options["data"].items() if name != "path"}
    yield from markdown.folded("All options", markdown.code("yaml", OmegaConf.to_yaml(OmegaConf.create(options))))


def _data(made: Made) -> Iterator[str]:
    config = made.run.config
    try:
        known = json.loads(files.read(made.run.folder / run_folder.ENVIRONMENT))["data"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        known = None
    known = known if isinstance(known, dict) else {}
    yield f"- data: {plain(config['data'].name)}"
    if "images" in known:
        yield f"- images: {plain(known['images'])}"
    if isinstance(size := known.get("found_size"), list):
        yield f"- size as found (height, width): {plain(' × '.join(map(str, size)))}"
    yield f"- shown to the networks as: {' × '.join(map(str, config.data.shape))} (channels, height, width)"
    if config.data.classes:
        yield f"- classes: {config.data.classes}"
