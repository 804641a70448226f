"""A network of another code: its options, read off the shapes of its tensors, and its state under our names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from torch import Tensor

from ganlab.core.errors import GanlabError

SN_FIELDS = ("parametrizations.weight.original", "parametrizations.weight.0.u", "parametrizations.weight.0.v")
COUNTERS = re.compile(r"(^|\.)(num_batches_tracked|accumulation_counter|sv\d+|sn_sigma)$")  # no output depends on them


class Tensors(dict[str, Tensor]):
    """The tensors of a file by their names there; one that is needed and missing is named.

    ``classes`` is the number of classes that the discriminator of the same files has, for formats whose generator
    does not.
    """

    def __init__(self, tensors: Mapping[str, Tensor], source: str, classes: int = 0) -> None:
        super().__init__(tensors)
        self.source, self.classes = source, classes

    def __missing__(self, name: str) -> Tensor:
        raise GanlabError(f"{self.source} has no tensor {name!r}: the file is not complete.")

    def count(self, pattern: str) -> int:
        """One more than the largest number that the group of ``pattern`` matches in a name; 0 without a match."""
        return max((int(m[1]) + 1 for name in self if (m := re.match(pattern, name))), default=0)

    def places(self, pattern: str) -> list[int]:
        """The numbers that the group of ``pattern`` matches in names."""
        return sorted({int(m[1]) for name in self if (m := re.match(pattern, name))})


@dataclass
class Network:
    """A network of another code, read by its format.

    Args:
        component: A registered generator or discriminator.
        options: Its options, as far as they are not the defaults.
        state: Tensors by our names; each goes with the name of where it came from.
        theirs: From our name of a tensor to theirs, for messages.
        normalized: Whether it has spectral norm.
        stored: Whether that evaluates with the stored vectors.
        image: (image size, channels, classes); for generators.
        sources: Their names of the tensors of ``state``, by ours.
        surplus: Their names of tensors that no table knows.
        settings: What goes with the network beside its options, such as a prior: groups and keys of options.
        common: Options that a fresh discriminator takes from the generator.
    """

    component: str
    options: dict[str, Any]
    state: dict[str, Tensor]
    theirs: Callable[[str], str]
    normalized: bool = False
    stored: bool = False
    image: tuple[int, int, int] = (0, 0, 0)
    common: tuple[str, ...] = ("width",)
    sources: dict[str, str] = field(default_factory=dict)
    surplus: list[str] = field(default_factory=list)
    settings: Mapping[str, Any] = field(default_factory=dict)


class Table:
    """Names of modules, theirs and ours, in both directions.

    Args:
        pairs: (theirs, ours) with ``{i}`` and ``{k}`` for numbers; the first that matches a whole name counts.
        fields: From their name of a tensor in a module to ours, where they differ.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]], fields: Mapping[str, str] | None = None) -> None:
        self.fields = dict(fields or {})
        self._ours, self._theirs = _rules(pairs), _rules([(ours, theirs) for theirs, ours in pairs])

    def ours(self, module: str) -> str | None:
        return _translate(module, self._ours)

    def theirs(self, module: str) -> str | None:
        return _translate(module, self._theirs)


Rules = tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]


def _rules(pairs: Sequence[tuple[str, str]]) -> Rules:
    """Names without numbers for looking up, and patterns."""
    literal: dict[str, str] = {}
    patterns = []
    for source, target in pairs:
        if "{" in source:
            patterns.append((re.compile(re.sub(r"\\\{(\w)\\\}", r"(?P<\1>\\d+)", re.escape(source))), target))
        else:
            literal.setdefault(source, target)
    return literal, patterns


def _translate(name: str, rules: Rules) -> str | None:
    literal, patterns = rules
    if name in literal:
        return literal[name]
    for pattern, target in patterns:
        match = pattern.fullmatch(name)
        if match:
            return target.format(**match.groupdict())
    return None


def translate(
    tensors: Tensors, table: Table, vectors: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    """State under our names, where each tensor came from, and the names that the table does not know.

    Args:
        vectors: Their names of what spectral norm keeps in a module: ``weight``, ``u`` and perhaps ``v``,
            such as ``{"weight": "weight_orig", "u": "weight_u", "v": "weight_v"}``.
    """
    normal = dict(zip((vectors["weight"], vectors["u"], vectors.get("v", "")), SN_FIELDS, strict=True))
    state: dict[str, Tensor] = {}
    sources: dict[str, str] = {}
    surplus = []
    for name, value in tensors.items():
        module, _, last = name.rpartition(".")
        ours = table.ours(module)
        if COUNTERS.search(name):
            continue
        if ours is None:
            surplus.append(name)
            continue
        has_vectors = f"{module}.{vectors['u']}" in tensors
        field_name = normal[last] if has_vectors and last in normal else table.fields.get(last, last)
        key = f"{ours}.{field_name}"
        if field_name in SN_FIELDS[1:]:
            value = value.reshape(-1)  # (out,) or (in,)
        elif last == "gamma":
            value = value.reshape(())
        state[key] = value
        sources[key] = name
    return state, sources, surplus


def back(table: Table, vectors: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function from our name of a tensor to theirs, for messages."""
    fields = {ours: theirs for theirs, ours in table.fields.items()}

    def theirs(key: str) -> str:
        for kind, sn_field in zip(("weight", "u", "v"), SN_FIELDS, strict=True):
            if key.endswith(sn_field):
                module = key.removesuffix(f".{sn_field}")
                return f"{table.theirs(module) or module}.{vectors.get(kind, kind)}"
        module, _, last = key.rpartition(".")
        # a weight has a name of its own only in batch norm without a condition
        last = last if last == "weight" and not module.endswith("norm") else fields.get(last, last)
        return f"{table.theirs(module) or module}.{last}"

    return theirs


def side(area: int, what: str) -> int:
    """The side of a square map of ``area`` positions."""
    root = round(area**0.5)
    if root * root != area:
        raise GanlabError(f"{what} makes a map of {area} positions, which is no square: no such network is known.")
    return root


def largest_width(channels: Sequence[int], source: str) -> int:
    """The bound B with which maps that are 2^i times smaller than the image have min(width·2^i, B) channels.

    Args:
        channels: Of the maps, the largest map first.

    Raises:
        GanlabError: If there is none.
    """
    most = max(channels)
    if list(channels) != [min(channels[0] * 2**i, most) for i in range(len(channels))]:
        raise GanlabError(f"{source} has maps of {list(channels)} channels, which do not double up to a largest width.")
    return most


def one_or_several(places: Sequence[int]) -> int | tuple[int, ...]:
    """Heights as the option ``attention`` takes them."""
    if not places:
        return 0
    return places[0] if len(places) == 1 else tuple(places)


def stages(
    blocks: Sequence[tuple[int, int]], multiples: Callable[[int], list[int]], width_of_last: int, source: str
) -> tuple[int, int, int]:
    """(doublings, blocks for each doubling, width) of a BigGAN-deep generator from its blocks' channels."""
    for count in range(3, len(blocks) + 1):
        depth, rest = divmod(len(blocks), count)
        scale = multiples(count)
        if rest or width_of_last % scale[-1]:
            continue
        width = width_of_last // scale[-1]
        expected = []
        for n, m in pairwise(scale):
            expected += [(width * n, width * n)] * (depth - 1) + [(width * n, width * m)]
        if expected == list(blocks):
            return count, depth, width
    raise GanlabError(f"{source} has blocks of channels {list(blocks)}, which no BigGAN-deep has.")
