"""Words of command lines as Hydra's overrides; what its grammar alone refuses is taken as it is typed."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from ganlab.config import schema
from ganlab.core import code_files, kinds
from ganlab.core.errors import GanlabError, shown

OPEN_NODES = ("trainer", "clip")  # any key may be set here; who reads them checks them
SHORT = {"guard": "guard.action"}  # a section's name alone sets its first option
_INNER = re.compile(r"(\w+):(\w+=[^:\s]+)")  # a name with an option behind it
SYNTAX = frozenset("[]{}(),:=\"'\\$")  # signs with a meaning in Hydra's grammar, which refuses others, as ~ # ä, too


def split(line: str) -> list[str]:
    """The words of a command line, as a shell would split it.

    Raises:
        GanlabError: If a quote is not closed.
    """
    try:
        return shlex.split(line)
    except ValueError as error:
        raise GanlabError(f"{line!r} cannot be split into words, since a quote in it is not closed.") from error


def given(overrides: str | Sequence[str]) -> list[str]:
    """The words that a caller in Python gives: a list of them, or one line.

    Raises:
        GanlabError: If they are none.
    """
    if isinstance(overrides, str):
        return split(overrides)
    if not isinstance(overrides, (list, tuple)) or not all(isinstance(word, str) for word in overrides):
        raise GanlabError(f"Options are a list of words such as ['model=dcgan'], or one line, got {shown(overrides)}.")
    return list(overrides)


def words(options: Mapping[str, Any]) -> list[str]:
    """The words of options that are given in Python.

    A component is a name, a list of names, or ``{name: {option: value}}``; other mappings are options:
    ``reg={"r1": {"gamma": 2}}, trainer={"max_steps": 5}`` are ``reg=[r1] reg.r1.gamma=2 trainer.max_steps=5``.
    """
    found: list[str] = []
    for key, value in options.items():
        kind = kinds.KINDS.get(key)
        if not isinstance(value, Mapping):
            found.append(f"{key}={_spelled(value, key)}")
        elif kind is not None and kind.place == "player":
            found += [f"{key}/{player}={one}" for player, one in value.items() if isinstance(one, str)]
            found += _options(key, {player: one for player, one in value.items() if not isinstance(one, str)})
        elif kind is not None and value and all(isinstance(one, Mapping) for one in value.values()):
            names = ",".join(_spelled(name, key) for name in value)
            found.append(f"{key}=[{names}]" if kind.many else f"{key}={names}")
            for name, inner in value.items():
                found += _options(f"{key}.{code_files.short(os.path.basename(name))}" if kind.many else key, inner)
        else:
            found += _options(key, value)
    return found


def _options(key: str, values: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and "from" not in value:
            found += _options(f"{key}.{name}", value)
        else:
            found.append(f"{key}.{name}={_spelled(value, f'{key}.{name}')}")
    return found


def _spelled(value: Any, key: str) -> str:
    """A value as it is typed; text with signs of the grammar stands in quotes."""
    try:
        plain = schema.plain(value)
    except TypeError as error:
        raise GanlabError(
            f"{key} must be a number, a word, or a list or mapping of them, got {shown(value)}."
        ) from error
    if isinstance(plain, str) and not SYNTAX.isdisjoint(plain):
        return _quoted(plain)
    return schema.spell(plain)


def parse(overrides: Iterable[str]) -> list[Override]:
    """Words of a command line as Hydra's overrides.

    Raises:
        GanlabError: If a word is no ``key=value``, see `read`.
    """
    return [read(word) for word in overrides]


def read(word: str, names_file: bool = False) -> Override:
    """Return the override of ``key=value``.

    The value is text, as it is typed, if it names a file or a folder and has a slash, whatever Hydra reads in it:
    ``data.path=/photos[1]``. So it is if Hydra's grammar refuses it, and it names a file or has none of `SYNTAX`. The
    same holds for each of several values that the grammar refuses together: ``data.path=zoë,/photos[1]``.

    Args:
        names_file: Take the value as it is typed also if it names a file that is to be made.

    Raises:
        GanlabError: If the word is no ``key=value``; with the line to type instead if there is one.
    """
    key, equals, value = word.partition("=")
    if key in SHORT:
        return read(f"{SHORT[key]}={value}", names_file)
    if not equals and not word.startswith("~"):
        raise GanlabError(f"{word!r} is no option: options are written key=value, see `ganlab train --help`.")
    if "\0" in word:
        raise GanlabError(f"{word!r} holds a null character, which no value and no name of a file has: leave it out.")
    found = _parsed(word)
    if found is not None and not (_has_several(found) and (names_file or ("/" in value and _exists(value)))):
        return found
    line = f"{key}={_quoted(value)}" if equals else word
    if names_file or found is not None or _is_text(value):
        spelled = line
    else:
        spelled = f"{key}={','.join(map(_alone, value.split(',')))}"
    as_typed = _parsed(spelled)
    if as_typed is not None:
        return as_typed
    if _parsed(line) is None:
        raise GanlabError(f"{word!r} is no option: {key!r} cannot be a key, see `ganlab train --help`.")
    _refuse_inner(key, value)
    raise GanlabError(
        f"{word!r} cannot be read: brackets and quotes must be closed, and a value that holds signs such as [ or = "
        f"stands in quotes of its own: {shlex.quote(line)}."
    )


def _refuse_inner(key: str, value: str) -> None:
    """Refuse a component that is typed with its option: ``reg=r1:gamma=1``.

    Raises:
        GanlabError: With the words to type.
    """
    kind, found = kinds.KINDS.get(key), _INNER.fullmatch(value)
    if kind is not None and found is not None:
        name, option = found.groups()
        path = f"{key}.{name}" if kind.many else key
        raise GanlabError(
            f"'{key}={value}' cannot be read: options of {name} are words of their own, {key}={name} {path}.{option}."
        )


def open_line(override: Override) -> str:
    """The override as Hydra takes it: keys of open nodes need not exist before."""
    line = str(override.input_line)
    key = override.get_key_element()
    return f"++{line}" if key.split(".")[0] in OPEN_NODES and "." in key and not key.startswith(("+", "~")) else line


def _parsed(word: str) -> Override | None:
    """Return what Hydra's grammar reads in a word; None: it refuses it."""
    try:
        return _parser().parse_override(word)
    except HydraException:
        return None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise GanlabError(f"'{word[:60]}...' cannot be read: its value is too long.") from error


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


def _has_several(found: Override) -> bool:
    return found.is_sweep_override() or isinstance(found.value(), (list, dict))


def _alone(value: str) -> str:
    """One of several values, in quotes if it is text that the grammar refuses."""
    return _quoted(value) if _parsed(f"key={value}") is None and _is_text(value) else value


def _is_text(value: str) -> bool:
    return _exists(value) or SYNTAX.isdisjoint(value)


def _exists(value: str) -> bool:
    return "${" not in value and os.path.exists(os.path.expanduser(value))


def _quoted(value: str) -> str:
    return QuotedString(value, Quote.double).with_quotes()
