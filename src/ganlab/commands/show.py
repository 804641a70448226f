"""``ganlab show KIND NAME``: a component or preset."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from ganlab.commands.command import Command, Passed, Word
from ganlab.config import catalog, code_words, docstrings, help_pages, option_table, presets
from ganlab.config.catalog import Choice
from ganlab.config.presets import Part
from ganlab.config.schema import Option
from ganlab.core import kinds, registry
from ganlab.core.errors import GanlabError, suggestion

MOST = 3  # names that are suggested


@dataclass
class Show(Command):
    """Show the formula, the paper, and every option with its default and the key to type.

    The kind may be left out where the name is unique:

      ganlab show loss hinge
      ganlab show hinge wasserstein
      ganlab show loss=wgan_gp           a preset: its YAML, and what it composes
      ganlab show generator=my_file.py:MyGenerator
    """

    names: Annotated[Sequence[str], Word("[KIND] NAME [NAME ...]")] = ()
    typed: Annotated[Sequence[str], Passed(offers=(), several=True)] = ()

    def __call__(self) -> int:
        # generator my_file.py:MyGenerator is generator=my_file.py:MyGenerator
        asked = [code_words.value(kind, name) for kind, name in zip(["", *self.names], self.names, strict=False)]
        for option in self.typed:  # loss=hinge, as it is typed elsewhere
            group, _, name = option.partition("=")
            asked += [group.partition("/")[0], name]
        if not asked:
            raise GanlabError("`ganlab show` wants a name: ganlab show loss hinge. `ganlab list` has them all.")
        pages = []
        for group, name in _resolve(asked):
            choice = catalog.find(group, name)
            kind = catalog.groups()[group].kind_of(choice)
            pages.append(_preset(choice) if kind is None else _component(kind, choice))
        print(f"\n\n{'-' * help_pages.WIDTH}\n\n".join(pages))
        return 0

    @classmethod
    def candidates(cls, before: Sequence[str]) -> Iterator[str]:
        """Kinds, and the names of the typed kind, or of all."""
        groups = catalog.groups()
        if not any(word in groups for word in before):
            yield from groups
        for group in [word for word in before if word in groups][-1:] or groups:
            yield from (choice.name for choice in catalog.choices(group))


def _resolve(words: Sequence[str]) -> list[tuple[str, str]]:
    """(kind, name) of each name; a kind holds for the names after it."""
    names = {group: [choice.name for choice in catalog.choices(group)] for group in catalog.groups()}
    found: list[tuple[str, str]] = []
    kind = ""
    for number, word in enumerate(words):
        if word in names and word not in names.get(kind, ()):
            kind = word
            if number + 1 == len(words) or words[number + 1] in names:
                raise GanlabError(f"Which {word}? `ganlab show {word} NAME` with one of {', '.join(names[word])}.")
        else:
            found.append((kind or _kind_of(word, names), word))
    return found


def _kind_of(name: str, names: dict[str, list[str]]) -> str:
    groups = [group for group, known in names.items() if name in known]
    if len(groups) > 1:
        ways = " or ".join(f"`ganlab show {group} {name}`" for group in groups)
        raise GanlabError(f"{name!r} is the name of several things: {ways}.")
    if not groups and ".py:" in name:
        raise GanlabError(f"A class of a file may be of any kind: name it, as `ganlab show generator={name}`.")
    if not groups:
        raise GanlabError(f"Nothing is called {name!r}.{_near(name, names)} `ganlab list` has all names.")
    return groups[0]


def _near(name: str, names: dict[str, list[str]]) -> str:
    """Suggest names over all kinds: near to the word, holding it, or described by it."""
    word = name.lower()
    pairs = [(group, known) for group, found in names.items() for known in found]
    similar = difflib.get_close_matches(word, {known.lower() for _, known in pairs}, n=2, cutoff=0.6)
    inside = [known.lower() for _, known in pairs if word in re.split("[_-]", known.lower())]
    found = [pair for pair in pairs if pair[1].lower() in [word, *similar, *inside]]
    if not inside:  # no name that the word is a part of
        found += [pair for pair in pairs if pair not in found and word in presets.summary(catalog.find(*pair)).lower()]
    if not found:
        return suggestion(word, [*names, *(known for _, known in pairs)])
    found.sort(key=lambda pair: -difflib.SequenceMatcher(None, word, pair[1].lower()).ratio())
    return f" Did you mean {' or '.join(f'`ganlab show {group} {known}`' for group, known in found[:MOST])}?"


def _component(kind: str, choice: Choice) -> str:
    name, group = choice.name, catalog.groups()[choice.group]
    point = registry.find(kind, name)  # refuses a name that two packages claim
    described = option_table.read(kind, name)
    if described.problem:
        raise GanlabError(described.problem)
    source = f"{choice.provider}, {point.value}" if point is not None else choice.provider
    what = kinds.KINDS[kind].what if group.offers(choice) else f"{kinds.KINDS[kind].what} of every run"
    typed = f"{group.typed}={name}" if group.offers(choice) else f"{kind} {name}"
    body = "\n\n".join(filter(None, docstrings.around(described.doc))) or "It has no docstring."
    lines = [f"{typed}    ({what}; {source})", "", body, ""]
    shown = [f"{attribute}: {'not stated' if v is None else v}" for attribute, v in described.shown.items()]
    lines += [*shown, *[""] * bool(shown), *_table(presets.keys(group.address, name))]
    if group.path:
        lines += ["", f"The same for the other players: optimizer/discriminator={name}, optimizer.discriminator.lr=..."]
    return "\n".join(lines)


def _preset(choice: Choice) -> str:
    path = catalog.groups()[choice.group].address
    source = choice.provider if choice.preset is None else f"{choice.provider}, {choice.preset}"
    lines = [f"{path}={choice.name}    (preset; {source})", ""]
    if choice.preset is not None:
        lines += [textwrap.indent(choice.preset.read_text(encoding="utf-8", errors="replace").rstrip(), "    "), ""]
    found = presets.composition(path, choice.name)
    if found.problem:
        return "\n".join([*lines, found.problem])
    if found.parts:
        width = max(len(_typed(part)) for part in found.parts)
        lines += ["It composes:", ""]
        for part in found.parts:
            what = option_table.read(part.kind, part.name).summary
            lines.append(help_pages.one_line(f"  {_typed(part):<{width}}  ", what))
        lines.append("")
    return "\n".join([*lines, *_table(presets.keys(path, choice.name))])


def _typed(part: Part) -> str:
    """Return what chooses a part: ``reg=sn``, ``optimizer/generator=adam``."""
    of_player = kinds.KINDS[part.kind].place == "player"
    return f"{part.key.replace('.', '/') if of_player else part.kind}={part.name}"


def _table(keys: Sequence[Option]) -> list[str]:
    """The options as they are typed, with their types, defaults and explanations."""
    if not keys:
        return ["It has no options."]
    typed = [help_pages.assignment(key) for key in keys]
    wide, narrow = max(map(len, typed)), max(len(key.annotation) for key in keys)
    missing = " (those without one must be given)" if any(key.required for key in keys) else ""
    lines = [f"Options, as they are typed, with their defaults{missing}:", ""]
    for word, key in zip(typed, keys, strict=True):
        start = f"  {word:<{wide}}  {key.annotation:<{narrow}}  "
        if len(start) <= help_pages.WIDTH // 2:
            lines += help_pages.hanging(start, key.about.split())
        else:
            lines += [
                start.rstrip(),
                *(help_pages.hanging(" " * 8, key.about.split()) if key.about else []),
            ]
    return lines
