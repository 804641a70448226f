"""Outputs of a discriminator: a logit an image, a map of patches, several maps, and the features of its layers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ganlab.core.errors import GanlabError

LOGITS, FEATURES = "logits", "features"


def read(output: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Return the maps of logits of an output, and its features.

    A tensor is one map; a list, or a tuple of tensors, is several; a tuple ``(logits, [feature, ...])`` or a mapping
    with ``logits`` and ``features`` has features too, which may be nested lists, one a sub-discriminator.

    Raises:
        GanlabError: If it is none of these.
    """
    if isinstance(output, Tensor):
        return [output], []
    if isinstance(output, Mapping) and LOGITS in output:
        return read(output[LOGITS])[0], flat(output.get(FEATURES, ()))
    if isinstance(output, tuple) and len(output) == 2 and isinstance(output[1], (list, tuple)):
        return read(output[0])[0], flat(output[1])
    if isinstance(output, Sequence) and not isinstance(output, str) and len(output) > 0:
        parts = [read(part) for part in output]
        return [one for maps, _ in parts for one in maps], [one for _, features in parts for one in features]
    raise GanlabError(
        f"The discriminator gave a {type(output).__name__}, and logits are a tensor, a list of tensors, or either in a "
        f"tuple (logits, [feature, ...])."
    )


def flat(nested: Any) -> list[Tensor]:
    """Return the tensors of nested lists and mappings, in order."""
    if isinstance(nested, Tensor):
        return [nested]
    parts = list(nested.values()) if isinstance(nested, Mapping) else nested
    return [tensor for part in parts for tensor in flat(part)] if isinstance(parts, list | tuple) else []


def logits_of(maps: Sequence[Tensor], count: int) -> list[Tensor]:
    """Return maps of logits as (B, N) each.

    Raises:
        GanlabError: If they are no logits of ``count`` samples.
    """
    for one in maps:
        if not one.is_floating_point():
            raise GanlabError(f"The discriminator gave {str(one.dtype).removeprefix('torch.')}, which are no logits.")
        if one.ndim == 0 or one.shape[0] != count:
            raise GanlabError(
                f"The discriminator gave logits of shape {tuple(one.shape)} for {count} samples: their first dimension "
                f"must be the batch."
            )
    return [one.flatten(1) if one.ndim > 1 else one[:, None] for one in maps]


class Several(nn.ModuleList):
    """Several discriminators of the same samples, which judge as one: their maps and features are put together."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__(networks)
        self.takes = [takes_condition(network) for network in networks]

    def forward(self, x: Tensor, condition: Any = None) -> list[Any]:
        return [network(x, condition) if takes else network(x) for network, takes in zip(self, self.takes, strict=True)]


def takes_condition(network: nn.Module, without: bool = False) -> bool:
    """Tell if a network is called with a condition: ``(x, condition)`` and not ``(x)`` alone.

    Args:
        without: Only if it cannot be called without one.
    """
    if isinstance(network, Several):
        return any(takes_condition(one, without) for one in network)
    parameters = inspect.signature(network.forward).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if without:
        return any(p.default is p.empty for p in positional[1:])
    return len(positional) > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters)
