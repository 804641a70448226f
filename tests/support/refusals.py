"""The sentences with which commands refuse what a user has typed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ganlab.commands.command import load
from ganlab.core.errors import GanlabError


def refusal(command: str, words: Sequence[str]) -> str:
    """Return the sentence with which a command refuses its words; it is on one line.

    Args:
        command: Its name: ``dynamics``.
        words: As they are typed behind it.
    """
    with pytest.raises(GanlabError) as caught:
        load(command).run(list(words))
    said = str(caught.value)
    assert "\n" not in said
    return said
