"""``ganlab list``: what is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from ganlab.commands.command import Command, Passed, Word
from ganlab.config import catalog, help_pages
from ganlab.core import registry
from ganlab.core.errors import GanlabError, suggestion

MATRIX = "matrix"


@dataclass
class List(Command):
    """List everything that is installed, or only some kinds: ganlab list loss reg

    ganlab list matrix [key=value ...]

    Which loss, regularizer and game go together, and why the others are refused, with the networks of
    `ganlab train key=value ...`; game=NAME, loss=NAME, reg=NAME or lists of names show only these.
    A loss may be a preset, as wgan_gp.

    Components of other packages and of ./conf are marked with where they come from, and what cannot
    be imported with the reason. Each component is imported once, in a process of its own, after a file
    of its package has changed.
    """

    kinds: Annotated[Sequence[str], Word("[KIND ...]")] = ()
    overrides: Annotated[Sequence[str], Passed(offers=(), several=True)] = ()

    def __call__(self) -> int:
        if MATRIX in self.kinds:
            return _matrix([word for word in self.kinds if word != MATRIX], self.overrides)
        groups = catalog.groups()
        if self.overrides:
            raise GanlabError(
                f"`ganlab list` takes kinds alone, got {self.overrides[0]!r}. Kinds: {', '.join(groups)}."
            )
        for word in self.kinds:
            if word not in groups:
                raise GanlabError(f"There is no kind {word!r}.{suggestion(word, groups)} Kinds: {', '.join(groups)}.")
        pages = []
        for group in dict.fromkeys(self.kinds) or groups:
            choices = catalog.choices(group)
            of = groups[group]
            if self.kinds or (choices and of.several):
                lines = help_pages.summary_lines(choices) or ["  none is installed"]
                what = "" if of.kind.what == group else f"{of.kind.what}    "
                pages.append("\n".join([f"{group}: {what}({of.to_type})", *lines]))
        print("\n\n".join(pages))
        if broken := registry.about_unreadable():
            print(f"note:{broken}", file=sys.stderr)
        if not self.kinds:
            print("\n`ganlab show NAME`: formula, paper and options. `ganlab train --help`: how to combine them.")
        return 0

    @classmethod
    def candidates(cls, before: Sequence[str]) -> Iterable[str]:
        """All kinds."""
        return catalog.groups()


def _matrix(words: Sequence[str], options: Sequence[str]) -> int:
    if words:
        raise GanlabError(f"`ganlab list matrix` takes options only (key=value), got {words[0]!r}.")
    from ganlab.commands import matrix
    from ganlab.config import command_line

    chosen: dict[str, list[str]] = {}
    others = []
    for override in command_line.parse(options):
        kind = override.get_key_element()
        if kind not in ("game", "loss", *matrix.ADDED):
            others.append(str(override.input_line))
            continue
        value = override.value()
        chosen[kind] = [str(name) for name in (value if isinstance(value, list) else [value])]
        for name in chosen[kind]:  # presets are losses too
            (catalog if kind == "loss" else registry).find(kind, name)
    print(matrix.report(others, chosen))
    return 0
