"""Runs that begin with another run's weights: the options that they inherit, and the data of both compared.

Every command line comes by here, so that Lightning is imported where there is an ``init``, and not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganlab.config import catalog, command_line, schema
from ganlab.config.component import Component
from ganlab.config.compose import Inherited
from ganlab.config.configuration import Config
from ganlab.contracts.dataset import Dataset
from ganlab.core import kinds, sizes
from ganlab.core.errors import GanlabError, few
from ganlab.data.headers import look
from ganlab.runs import run_folder

COLOURS = {1: "grey", 3: "in colour"}


def options(overrides: Sequence[str]) -> Inherited | None:
    """Return the options of the run ``init=RUN`` that a command line leaves unset; None without ``init``.

    Raises:
        GanlabError: If there is no such run.
    """
    typed = {o.get_key_element().lstrip("+~"): o for o in command_line.parse(overrides)}
    if "init" not in typed or typed["init"].value() in (None, "", "null"):
        return None
    if typed["init"].is_sweep_override():
        raise GanlabError(f"{typed['init'].input_line}: a run, and a sweep, begins with one run's weights.")
    if "experiment" in typed:
        return None
    before = run_folder.read_config(_folder(str(typed["init"].value())))
    values: dict[str, Any] = {"ema.ramp_up": None}  # the average continues
    values["data.image_size"] = schema.plain(before.data.image_size)
    if before.data.image_channels != 1:  # grey images can be taken as coloured ones, and not the other way round
        values["data.image_channels"] = before.data.image_channels
    if not before.data.num_classes:
        values["data.num_classes"] = 0
    values["state_updates"] = before.state_updates
    choices: dict[str, str | list[str]] = {}
    taken: list[Component] = []
    if "reg" not in typed:
        choices["reg"] = [part.name for part in before.of("reg").values()]
        taken += before.of("reg").values()
    for kind in kinds.single_hooks():
        if kind not in typed and kind not in before:
            choices[kind] = catalog.NONE
    for key, part in before.components.items():
        group = key.replace(".", "/")
        with_model = part.kind in (*kinds.networks(), *kinds.at("player"))
        inherits = with_model or part.kind in (*kinds.roles(), *kinds.single_hooks(), "game", "prior")
        if inherits and group not in typed and not (with_model and "model" in typed):
            choices[group] = part.name
            taken.append(part)
    for part in taken:
        values.update({f"{part.key}.{name}": value for name, value in part.options.items()})
    return Inherited(choices, values)


def compare(config: Config, source: Dataset) -> list[str]:
    """Return a sentence for each difference between the data and that of the run ``init``; decode no image.

    Args:
        config: Complete, with ``init``.
        source: The data set that it names.

    Raises:
        GanlabError: If the networks of that run cannot take the images as they are: colours or classes.
    """
    run, now = str(config.init), config.data
    folder = _folder(run)
    before = run_folder.read_config(folder).data
    channels = now.shape[0]
    _refuse_colours(run, before.shape[0], channels)
    _refuse_classes(run, before.classes, now.classes, source.num_classes)
    found, kept = look(source), []
    if before.shape[1:] == now.shape[1:] and found.sizes and now.shape[1:] not in found.sizes:
        size, other = sizes.words((now.shape[1], now.shape[2])), sizes.words(found.sizes[-1])
        kept.append(f"the size {size} (some images are {other})")
    if channels != found.channels:
        kept.append(f"images {COLOURS[channels]} (the data is {COLOURS[found.channels]})")
    if before.classes == now.classes == 0 and source.num_classes:
        kept.append(f"no classes (the data has {source.num_classes})")
    messages = [f"As in init={run}: {', '.join(kept)}."] if kept else []
    names = run_folder.class_names(folder) or tuple(map(str, range(before.classes)))
    if now.classes == before.classes == len(names):
        messages += _other_names(run, names, source.class_names)
    return messages


def _refuse_colours(run: str, before: int, now: int) -> None:
    if before == now:
        return
    if before == 1:
        raise GanlabError(
            f"init={run} has networks for grey images, and these are in colour: set data.image_channels=1 to train on "
            f"them in grey, or begin with a run of images in colour."
        )
    raise GanlabError(
        f"init={run} has networks for images in colour, and data.image_channels={now}: leave it out, and grey images "
        f"are taken as coloured ones."
    )


def _refuse_classes(run: str, before: int, now: int, there: int) -> None:
    if before and not now:
        why = "data.num_classes=0: leave it out" if there else "the data has none: sort the images into class folders"
        raise GanlabError(
            f"init={run} has networks for {before} classes, and {why}, or begin with a run without classes."
        )
    if now and not before:
        raise GanlabError(
            f"init={run} has networks without classes, and data.num_classes={now}: leave it out, or begin with a run "
            f"that has classes."
        )


def _other_names(run: str, before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return a sentence about classes whose names differ: weights go by the number of a class."""
    other = [f"{theirs!r} is {ours!r}" for theirs, ours in zip(before, now, strict=False) if theirs != ours]
    if not other:
        return []
    return [f"Classes begin with what {run} has learned of its own, by number: {few(other)}."]


def _folder(run: str) -> Path:
    from ganlab.runs import choice

    return choice.named(run)[0]
