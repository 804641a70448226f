"""Refuse numbers that need more than this machine's memory, before images are decoded or weights allocated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from ganlab.config.component import Component
from ganlab.config.configuration import Config
from ganlab.core import memory, sizes
from ganlab.core.errors import GanlabError, short_of_memory

_MOST_TENSORS = 50_000  # of networks: some ten times what the largest published ones have


class _TooLarge(Exception):
    """The networks of a configuration do not fit; no `ValueError`, which would be one of an option."""


def refuse_batches(config: Config) -> None:
    """Refuse more images of a batch or a grid than this machine's memory holds.

    Args:
        config: Complete, see `ganlab.assembly.run_data.complete`.

    Raises:
        GanlabError: If one is too large.
    """
    channels, height, width = config.data.shape
    pixels = channels * height * width
    bytes_of_pixel = 1.0 if torch.cuda.is_available() else 1 + 4 / config.accumulate  # as read, and as floats
    batch = bytes_of_pixel * config.data.batch_size * pixels / config.trainer.get("num_nodes", 1)
    images = f"images of {sizes.words((height, width))}"
    memory.refuse(batch, f"Batches of data.batch_size={config.data.batch_size} {images}", "take fewer")
    count = config.sample.count
    if count is not None:
        memory.refuse(4.0 * count * pixels, f"Grids of sample.count={count} {images}", "take fewer")


def refuse_networks(parts: Mapping[str, Component], make: Callable[[], Any]) -> None:
    """Build networks without any memory, on torch's device ``meta``, and refuse those whose weights do not fit.

    Networks that cannot be built there are not checked.

    Args:
        parts: The networks by their kinds, for the sentence.
        make: Builds them.

    Raises:
        GanlabError: If they are too large.
    """
    found = tensors = 0

    def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal found, tensors
        if tensor is not None:
            found, tensors = found + tensor.numel() * tensor.element_size(), tensors + 1
        if found > memory.total() or tensors > _MOST_TENSORS:
            raise _TooLarge

    hooks = [register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count)]
    try:
        with torch.device("meta"):
            make()
    except _TooLarge:
        raise _refused(parts) from None
    except Exception as error:  # building them later reports what is wrong with an option
        cause = error.__cause__ or error
        if isinstance(cause, OverflowError) or short_of_memory(cause):
            raise _refused(parts) from error
    finally:
        for hook in hooks:
            hook.remove()


def _refused(parts: Mapping[str, Component]) -> GanlabError:
    numbers = {
        f"{part.key}.{name}": value
        for part in parts.values()
        for name, value in part.arguments.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    largest = max(numbers, key=lambda key: numbers[key], default="")
    named = f"With {largest}={numbers[largest]} the" if largest else "The"
    return GanlabError(
        f"{named} networks have more weights than this machine's memory ({memory.size(memory.total())}) "
        f"holds: take a smaller number, or smaller images."
    )
