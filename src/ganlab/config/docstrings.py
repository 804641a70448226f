"""The parts of a docstring: its first sentence, what its ``Args`` section says, and the text before and after it."""

from __future__ import annotations

import inspect
import re

_ARGUMENTS = re.compile(r"(?m)^(?:Args|Arguments):\n((?:(?: .*)?\n?)*)")


def summary(doc: str) -> str:
    """The first sentence, on one line."""
    paragraph = " ".join(doc.partition("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", paragraph)[0]


def arguments(doc: str) -> dict[str, str]:
    """The text of the ``Args`` section about each argument."""
    section = _ARGUMENTS.search(doc + "\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc("\n" + section.group(1)).splitlines() if section else ():
        start = re.match(r"([\w*][\w, *]*?)(?: \([^)]*\))?:\s+(.*)", line)
        if start:
            names = [name.strip(" *") for name in start.group(1).split(",")]
            found.update(dict.fromkeys(names, start.group(2)))
        else:
            found.update({name: f"{found[name]} {line.strip()}".strip() for name in names})
    return found


def around(doc: str) -> tuple[str, str]:
    """The text before the ``Args`` section, and the text after it."""
    before, *after = _ARGUMENTS.sub("\0", doc + "\n").split("\0")
    return before.strip(), "".join(after).strip()
