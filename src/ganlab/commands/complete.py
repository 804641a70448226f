"""``ganlab complete -- WORDS``: completions of the last word, for the shells' scripts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ganlab.commands import COMMANDS
from ganlab.commands.command import PATH, RUN, RUNS, Command, Flag, Passed, Word, choices, load
from ganlab.config import catalog, presets
from ganlab.config.schema import Option
from ganlab.core import run_files
from ganlab.core.errors import GanlabError
from ganlab.core.kinds import NONE

_PATHS = ("path", "dir")  # options of a run that take a file or a folder
_MARKS = (run_files.CONFIG, "sweep.yaml")  # in the folder of a run, and of a sweep
_DEPTH = 3  # a run of a sweep is sweeps/DATE/JOB


@dataclass
class Complete(Command):
    """Print completions of the last word, for the scripts of `ganlab completion`."""

    words: Annotated[Sequence[str], Word("-- WORDS")]

    def __call__(self) -> int:
        typed = list(self.words[1:] if self.words[:1] == ["--"] else self.words) or [""]
        try:
            found = [c for c in candidates(typed) if c.startswith(typed[-1])]
        except GanlabError:  # a shell wants candidates or silence
            found = []
        print("\n".join(dict.fromkeys(found)))
        return 0

    @classmethod
    def run(cls, typed: Sequence[str]) -> int:
        """Take all words as they are: options and flags are those of another command."""
        return cls(typed)()


def candidates(words: Sequence[str]) -> Iterable[str]:
    """Return completions of the last of ``words``, which follow ``ganlab`` on the command line."""
    name, *before, current = words if len(words) > 1 else ["", words[0]]
    if not name:
        return [*COMMANDS, "--help", "--version"]
    if name not in COMMANDS:
        return []
    command = load(name)
    if current.startswith("-"):
        return [*(dashed for flag in command.marked(Flag).values() for dashed in flag.names), "--help"]
    if "=" in current:
        return _values(command, *current.partition("=")[::2], before)
    takes_runs = command.marked(RUN) or command.marked(RUNS)
    found = [
        *command.candidates(before),
        *(_runs(current) if takes_runs else ()),
        *(f"{o}=" for o in command.options()),
    ]
    return found if command.marked(RUN) and not before else [*found, *_passed(command, before)]


def _passed(command: type[Command], before: Sequence[str]) -> Iterator[str]:
    """The options of a run that a command hands on."""
    for passed in command.marked(Passed).values():
        if "groups" in passed.offers:
            yield from (group for group in _groups() if passed.takes(group[:-1]))
        if "options" in passed.offers:
            yield from (key for key in _keys(before) if passed.takes(key[:-1]))


def _groups() -> Iterator[str]:
    for group in catalog.run_groups().values():
        if group.path:
            yield from (f"{group.name}/generator=", f"{group.name}/discriminator=")
        elif group.several:
            yield f"{group.name}="


def _keys(before: Sequence[str]) -> list[str]:
    return [f"{option.name}=" for option in _options(before)]


def _options(before: Sequence[str]) -> list[Option]:
    """The options of the components that a command line chooses so far, and of the default ones."""
    chosen = {group: (name,) for group, name in catalog.run_defaults().items()}
    for word in before:
        group, sign, names = word.partition("=")
        if sign and group.partition("/")[0] in catalog.run_groups():
            chosen[group] = tuple(re.findall(r"[\w-]+", names))
    keys: dict[str, Option] = {}
    # a model first: generator=, discriminator= and optimizer/... change parts of it
    for group in sorted(chosen, key=lambda g: (g != "experiment", g != "model")):
        keys = {key: k for key, k in keys.items() if not key.startswith(group.replace("/", ".") + ".")}
        for name in chosen[group]:
            try:
                keys.update({option.name: option for option in presets.keys(group, name)})
            except GanlabError:  # half-typed or unknown
                continue
    keys.update({option.name: option for option in (*catalog.run_keys(), *presets.trainer_keys())})
    if {"-m", "--multirun"} & {*before}:
        keys.update({option.name: option for option in catalog.sweep_keys()})
    return list(keys.values())


def _values(command: type[Command], key: str, value: str, before: Sequence[str]) -> Iterator[str]:
    group = key.partition("/")[0]
    of = catalog.run_groups().get(group)
    if of is not None:
        names = [choice.name for choice in catalog.choices(group) if of.offers(choice)]
        head = re.match(r"(.*[\[,])?", value).group()  # type: ignore[union-attr]
        taken = re.findall(r"[\w-]+", head)
        yield from (f"{key}={head}{name}" for name in names if name not in taken)
        if of.kind.optional and not head:
            yield f"{key}={NONE}"
        if head.startswith("[") and value[len(head) :] in names:
            yield f"{key}={value}]"
        if not value and of.kind.many:
            yield f"{key}=["
        return
    own = command.options().get(key)
    if key in command.marked(PATH) or (own is None and key.rpartition(".")[2] in _PATHS):
        yield from (f"{key}={path}" for path in _paths(value))
    option = next((each for each in _options(before) if each.name == key), None)
    annotation = str(option.annotation) if option is not None else ""
    if (option is not None and isinstance(option.default, bool)) or "bool" in annotation.split(" | "):
        yield from (f"{key}=true", f"{key}=false")
    yield from (f"{key}={choice}" for choice in choices(own))
    for listed in re.findall(r"Literal\[(.*?)\]", annotation):
        yield from (f"{key}={choice.strip(' ')[1:-1]}" for choice in listed.split(","))


def _paths(start: str) -> Iterator[str]:
    folder, _, name = start.rpartition("/")
    base = Path(os.path.expanduser(f"{folder}/" if "/" in start else "."))
    if os.path.isdir(base):
        for path in sorted(base.iterdir()):
            if path.name.startswith(name) and (name or not path.name.startswith(".")):
                yield f"{folder}{'/' if '/' in start else ''}{path.name}{'/' if os.path.isdir(path) else ''}"


def _runs(start: str) -> Iterator[str]:
    """Folders with a config.yaml, and of sweeps: under ``runs`` and ``sweeps``, here, and under what was typed."""
    folder = start.rpartition("/")[0]
    roots = [folder] if folder else [".", "runs", "sweeps"]
    for root in roots:
        for depth in range(1, _DEPTH if root != "." else 2):
            for name in _MARKS:
                for config in sorted(Path(os.path.expanduser(root)).glob("*/" * depth + name)):
                    yield config.parent.as_posix()
    if folder and any(os.path.isfile(Path(os.path.expanduser(folder)) / name) for name in _MARKS):
        yield folder
