"""Refuse options and networks that have no meaning for points, before anything is built."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from ganlab.config.configuration import Config
from ganlab.contracts.point_set import PointSet
from ganlab.core.errors import GanlabError


def refuse(config: Config, source: PointSet, networks: Mapping[str, Container[int]]) -> None:
    """Refuse options and networks that are for images only.

    Args:
        config: As it was chosen.
        source: The points.
        networks: The sides of images that each network allows, by its kind, as far as it says so.

    Raises:
        GanlabError: With a sentence for each.
    """
    problems = [*_options(config, source), *_networks(config, networks)]
    if problems:
        raise GanlabError(" ".join(problems))


def _options(config: Config, source: PointSet) -> Iterator[str]:
    data, points = config.data, config["data"].typed
    for key, is_set in (("mirror", data.mirror), ("dequantize", data.dequantize)):
        if is_set:
            yield f"data.{key}=true is for images, and {points} has points: leave it out."
    if data.image_size not in (None, 1, (1, 1)):
        yield f"data.image_size is of images, and {points} has points: leave it out."
    if data.image_channels not in (None, source.native_channels):
        yield (
            f"data.image_channels={data.image_channels} is of images, and the points of {points} have "
            f"{source.native_channels} coordinate{'s' if source.native_channels > 1 else ''}: leave it out."
        )


def _networks(config: Config, networks: Mapping[str, Container[int]]) -> Iterator[str]:
    points = config["data"].typed
    for kind, sizes in networks.items():
        if isinstance(sizes, Container) and 1 not in sizes:
            yield f"{config[kind].typed} makes or judges images, and {points} has points: take model=mlp."
