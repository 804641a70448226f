"""Words of command lines as Hydra's overrides."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from ganlab.core.errors import GanlabError

OPEN_NODES = ("trainer", "clip")  # any key may be set here; who reads them checks them


def split(line: str) -> list[str]:
    """The words of a command line, as a shell would split it.

    Raises:
        GanlabError: If a quote is not closed.
    """
    try:
        return shlex.split(line)
    except ValueError as error:
        raise GanlabError(f"{line!r} cannot be split into words, since a quote in it is not closed.") from error


def parse(overrides: Iterable[str]) -> list[Override]:
    """Words of a command line as Hydra's overrides.

    Raises:
        GanlabError: If a word is no ``key=value``.
    """
    parser = OverridesParser.create()
    parsed = []
    for word in overrides:
        if "=" not in word and not word.startswith("~"):
            raise GanlabError(f"{word!r} is no option: options are written key=value, see `ganlab train --help`.")
        try:
            parsed.append(parser.parse_override(word))
        except HydraException as error:
            key, _, value = word.partition("=")
            raise GanlabError(
                f"{word!r} cannot be read: brackets and quotes must be closed, and a value that holds signs such as "
                f"= or : stands in quotes of its own: '{key}=\"{value}\"'."
            ) from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
            raise GanlabError(f"'{word[:60]}...' cannot be read: its value is too long.") from error
    return parsed


def open_line(override: Override) -> str:
    """The override as Hydra takes it: keys of open nodes need not exist before."""
    line = str(override.input_line)
    key = override.get_key_element()
    return f"++{line}" if key.split(".")[0] in OPEN_NODES and "." in key and not key.startswith(("+", "~")) else line
