"""R3GAN: state dictionaries of its networks, or its training pickles."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.importers import records
from ganlab.importers.growing import Renaming, taps, widths
from ganlab.importers.network import Network, Tensors

NAME = "r3gan"
COMMON = ("width", "max_width", "blocks", "expansion", "group_width", "taps")
BLOCK = (
    ("LinearLayer1.Layer.weight", "conv1.weight"), ("NonLinearity1.Bias", "conv1.bias"),
    ("LinearLayer2.Layer.weight", "conv2.weight"), ("NonLinearity2.Bias", "conv2.bias"),
    ("LinearLayer3.Layer.weight", "conv3.weight"),
)  # fmt: skip
PREFIX = "Model."  # of the classes that its training wraps the networks in


def role(tensors: dict[str, Tensor]) -> str | None:
    names = {name.removeprefix(PREFIX) for name in tensors}
    if not any(re.fullmatch(r"MainLayers\.\d+\.Layers\.\d+\.LinearLayer1\.Layer\.weight", name) for name in names):
        return None
    if "AggregationLayer.Layer.weight" in names:
        return "generator"
    return "discriminator" if "ExtractionLayer.Layer.weight" in names else None


def networks(content: Any) -> dict[str, dict[str, Tensor]] | None:
    found = records.networks(content, role)
    return None if found is None else {of: record.tensors() for of, record in found.items()}


def generator(tensors: Tensors) -> Network:
    read = _Reading(tensors)
    for level in range(read.levels + 1):
        if level:
            read.transition(f"MainLayers.{level}.Layers.0", level - 1)
        read.blocks(level, level, first=1)
    read.take("MainLayers.0.Layers.0.Basis", "base.maps")
    rows, length = read.take("MainLayers.0.Layers.0.LinearLayer.weight", "base.linear.weight").shape
    colours = len(read.take("AggregationLayer.Layer.weight", "to_image.weight"))
    classes, embedding_dim = read.embedding()
    options = read.options(rows)
    if classes:
        options["embedding_dim"] = embedding_dim
    options["latent_dim"] = length - embedding_dim
    side = read.renaming.state["base.maps"].shape[-1] * 2**read.levels
    return read.renaming.network("r3gan", options, (side, colours, classes), COMMON)


def discriminator(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    read = _Reading(tensors)
    for place in range(read.levels + 1):
        level = read.levels - place
        count = read.blocks(place, level, first=0)
        last = f"MainLayers.{place}.Layers.{count}"
        if level:
            read.transition(last, level - 1)
        else:
            base = read.take(f"{last}.Basis.weight", "base.maps", lambda weight: weight.squeeze(1))
            read.take(f"{last}.LinearLayer.weight", "base.linear.weight")
    read.take("ExtractionLayer.Layer.weight", "from_image.weight")
    classes, embedding_dim = read.embedding()
    options = read.options(len(base))
    if classes and embedding_dim != len(base):
        options["embedding_dim"] = embedding_dim
    return read.renaming.network("r3gan", options, image, COMMON)


class _Reading:
    """A network's tensors, taken level by level from the base on."""

    def __init__(self, tensors: Tensors) -> None:
        plain = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
        self.tensors = Tensors(plain, tensors.source, tensors.classes)
        self.renaming = Renaming(self.tensors)
        self.levels = self.tensors.count(r"MainLayers\.(\d+)\.") - 1
        self.counts = [0] * (self.levels + 1)
        self._inside: set[tuple[int, int, int]] = set()  # channels of a block, inside it, and of a group
        self._filters: list[Tensor] = []

    def take(self, theirs: str, ours: str, layout: Any = lambda x: x) -> Tensor:
        self.renaming.take(theirs, ours, layout)
        return self.renaming.state[ours]

    def blocks(self, place: int, level: int, first: int) -> int:
        """Take the blocks of a level; their number."""
        at = rf"MainLayers\.{place}\.Layers\.(\d+)\.LinearLayer1\."
        self.counts[level] = count = len(self.tensors.places(at))
        for i in range(count):
            for theirs, ours in BLOCK:
                self.take(f"MainLayers.{place}.Layers.{first + i}.{theirs}", f"stages.{level}.{i}.{ours}")
            weight = self.renaming.state[f"stages.{level}.{i}.conv1.weight"]
            grouped = self.renaming.state[f"stages.{level}.{i}.conv2.weight"]
            self._inside.add((weight.shape[1], weight.shape[0], grouped.shape[1]))
        return count

    def transition(self, theirs: str, place: int) -> None:
        """Take a change of size between the levels ``place`` and ``place`` + 1."""
        self._filters.append(self.tensors[f"{theirs}.Resampler.Kernel"])
        self.renaming.ignore(f"{theirs}.Resampler.Kernel")
        if f"{theirs}.LinearLayer.Layer.weight" in self.tensors:
            self.take(f"{theirs}.LinearLayer.Layer.weight", f"transitions.{place}.weight")

    def embedding(self) -> tuple[int, int]:
        """(classes, length of their embedding), zeros without."""
        if "EmbeddingLayer.weight" not in self.tensors:
            return 0, 0
        weight = self.take("EmbeddingLayer.weight", "embedding.weight", lambda weight: weight.t())
        return weight.shape[0], weight.shape[1]

    def options(self, base: int) -> dict[str, Any]:
        """Options of both networks; ``base`` is the number of channels of the base map."""
        source, channels = self.tensors.source, [base]
        for place in range(self.levels):
            between = self.renaming.state.get(f"transitions.{place}.weight")
            sides = () if between is None else {between.shape[0], between.shape[1]} - {channels[-1]}
            channels.append(next(iter(sides), channels[-1]))
        group_width = max(group for _, _, group in self._inside)
        expansions = {hidden / outside for outside, hidden, _ in self._inside}
        if len(expansions) != 1 or any(group != min(group_width, hidden) for _, hidden, group in self._inside):
            raise GanlabError(f"{source} has blocks of several expansions or widths of groups, which ours has not.")
        (expansion,) = expansions
        same = len(set(self.counts)) == 1
        return {
            **widths(channels, source),
            "blocks": self.counts[0] if same else tuple(self.counts),
            "expansion": int(expansion),
            "group_width": group_width,
            "taps": taps(self._filters, source),
        }
