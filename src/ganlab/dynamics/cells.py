"""The cells of a scoreboard: a loss with regularizers on a data set, and how they are typed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from ganlab.core import registry
from ganlab.core.errors import GanlabError, few

ALL, NONE = "all", "none"
_PART = r"[^:+]+(:[^:=]+=[^:]+)*"  # a name with its options
_CELL = re.compile(rf"{_PART}(\+{_PART})*")


@dataclass(frozen=True)
class Cell:
    """A loss with regularizers on a data set.

    Args:
        problem: A data set of points whose modes are known.
        loss: A name, as in ``loss=hinge``.
        reg: A name, or several joined by ``+``, each with its options, if any: ``r1:gamma=0.1+sn``.
    """

    problem: str
    loss: str
    reg: str

    @property
    def words(self) -> list[str]:
        """As in ``ganlab train``."""
        if self.reg == NONE:
            return [f"loss={self.loss}", "reg=none"]
        parts = [part.split(":") for part in self.reg.split("+")]
        options = [f"reg.{name}.{option}" for name, *several in parts for option in several]
        return [f"loss={self.loss}", f"reg=[{','.join(name for name, *_ in parts)}]", *options]

    @property
    def name(self) -> str:
        """The name of its files."""
        return re.sub(r"[^\w+.-]", "-", f"{self.problem}_{self.loss}_{self.reg}")


def names(kind: str, given: Sequence[str]) -> list[str]:
    """Return the names of losses or regularizers, those of plug-ins included where ``all`` is given.

    Raises:
        GanlabError: If there are none, or one is given twice.
    """
    key = "losses" if kind == "loss" else "regs"
    if list(given) == [ALL]:
        return [*([NONE] if kind == "reg" else []), *registry.names(kind)]
    if not given:
        raise GanlabError(f"{key} must be {ALL}, or names with commas: {', '.join(registry.names(kind))}.")
    if ALL in given:
        raise GanlabError(f"{key}={ALL} has every name: leave {few([n for n in given if n != ALL])} out, or {ALL}.")
    for name in given:
        if not _CELL.fullmatch(name):
            raise GanlabError(
                f"{key}: {name!r} must be a name, with options behind colons, or several of these joined by +: "
                f"NAME, NAME:OPTION=VALUE, NAME+NAME."
            )
    if len(set(given)) < len(given):
        twice = next(name for name in given if list(given).count(name) > 1)
        raise GanlabError(f"{key} names {twice} twice: leave one out.")
    return list(given)


def of(problems: Sequence[str], losses: Sequence[str], regs: Sequence[str]) -> list[Cell]:
    """Return all cells."""
    return [Cell(*each) for each in product(problems, losses, regs)]
