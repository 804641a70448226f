"""Arguments of a call in Python, checked against the annotations of what is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganlab.config import schema
from ganlab.core.errors import GanlabError


def checked(called: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return some arguments of a class or a function as its annotations want them: of their types, in their ranges.

    Raises:
        GanlabError: With a sentence for each that is something else.
    """
    found, problems = schema.check(schema.options(called), arguments, "")
    if problems:
        raise GanlabError(" ".join(problems))
    return found
