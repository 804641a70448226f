"""A run as its instruments see it."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ganlab.assembly.experiment import Experiment
from ganlab.config.configuration import Config
from ganlab.contracts.extractor import Extractor
from ganlab.contracts.instrument import Images, Instrument, Subject
from ganlab.core import randomness
from ganlab.core.cache import cache_folder
from ganlab.core.errors import GanlabError, sentence
from ganlab.engine.loader import shrunk
from ganlab.engine.reals import as_seen
from ganlab.evaluation import extraction
from ganlab.layers.growing import blend_reals
from ganlab.runs import around
from ganlab.runs.callbacks.evaluating import chosen


def instruments(config: Config, subject: Subject) -> dict[str, Instrument]:
    """Return the instruments that a configuration names, by name, ready to measure.

    Raises:
        GanlabError: If one cannot be made, or the run cannot have it.
    """
    made = around.instruments(config)
    for name, instrument in made.items():
        try:
            instrument.prepare(subject)
        except ValueError as error:
            raise GanlabError(f"watch={name}: {sentence(error)}") from error
    return made


def subject(built: Experiment) -> Subject:
    """Return the run whose networks ``built`` has, as they are at each measurement."""
    module, data = built.module, built.data
    decoded: dict[tuple[str, int], tuple[Tensor, Tensor | None]] = {}

    def read(split: str, count: int) -> Images:
        assert data is not None
        if (split, count) not in decoded:
            rows = data.splits[split]
            order = randomness.generator("cpu", module.training_options.seed, "watch", split)
            rows = rows[torch.randperm(len(rows), generator=order)[:count]]
            labels = data.images.labels[rows] if built.config.data.classes and data.images.labels is not None else None
            decoded[split, count] = torch.as_tensor(data.images.pixels[rows]), labels
        images, labels = decoded[split, count]
        images, labels = images.to(module.device), None if labels is None else labels.to(module.device)
        decoded[split, count] = images, labels
        return _as_judged(images, built), labels

    @cache
    def made(name: str | None) -> Extractor:
        assert data is not None
        if data.images.are_points:
            raise ValueError("it needs features of images, and the data has points: leave it out")
        options = built.config.evaluate
        protocol = chosen(options.protocol, built.config["data"].name, {"features": name or options.features})
        return extraction.prepared(protocol.make_extractor(), data, module.device, cache_folder())

    def extractor(name: str | None) -> Extractor:
        found = made(name)
        found.to(module.device)  # it was made before the networks were moved
        return found

    counts = {} if data is None else {split: len(rows) for split, rows in data.splits.items()}
    return Subject(
        module.game,
        module.average,  # type: ignore[arg-type]
        module.setting,
        module.training_options.seed,
        counts,
        None if data is None else read,
        None if data is None else extractor,
    )


def _as_judged(images: Tensor, built: Experiment) -> Tensor:
    """Return images as the discriminator sees real ones at the present stage of growth."""
    stage = built.module.stage
    if stage is not None:
        images = shrunk(images, stage.image_size)
    x = as_seen(images, next(built.module.game.parameters()))
    return blend_reals(x, stage.alpha) if stage is not None and x.ndim == 4 else x
