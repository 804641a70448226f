"""A feature extractor made ready for a data set."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import distributed as dist

from ganlab.contracts.extractor import Examples, Extractor
from ganlab.core import distributed
from ganlab.data.run_images import RunData


def prepared(extractor: Extractor, real: RunData, device: torch.device, cache: Path) -> Extractor:
    """Load the weights of an extractor, or train it on the data: on the first rank first, which caches them.

    Raises:
        GanlabError: If it cannot be loaded or trained.
    """
    images, examples = real.images, None
    if extractor.needs_examples:
        train, held_out = real.splits["train"], real.splits["validation"]
        labels = images.labels
        examples = Examples(
            images.pixels[train],
            None if labels is None else labels[train],
            images.pixels[held_out],
            None if labels is None else labels[held_out],
            images.num_classes,
            real.fingerprint,
            cache,
        )
    height, width = images.pixels.shape[2:]
    extractor.image_size = (height, width)
    if distributed.rank() == 0:
        extractor.prepare(examples)
    if distributed.world_size() > 1:
        dist.barrier()
    if distributed.rank() != 0:
        extractor.prepare(examples)
    extractor.to(device)
    return extractor
