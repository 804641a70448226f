"""The check of recorded turns passes what can be recorded, and says what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.recorded import Reading, makes_a_generator, reads_a_value

from ganlab import testing
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.view import View
from ganlab.regularizers.lecam import LeCam
from ganlab.regularizers.path_length import PathLength


@pytest.mark.parametrize(
    "regularizer", [LeCam(start_kimg=0.01), PathLength(interval_steps=1), Reading(reads_a_value, "it reads")]
)
def test_what_can_be_recorded_or_says_that_it_cannot_passes(regularizer: Regularizer) -> None:
    testing.check_recordable(regularizer)


@pytest.mark.parametrize(
    ("strength", "words"),
    [
        (reads_a_value, "_local_scalar_dense makes the host wait"),
        (lambda view: 1 + view.iteration, "has a number that changes between iterations and is no tensor"),
        (makes_a_generator, "made while it was recorded"),
    ],
)
def test_what_cannot_be_recorded_is_found(
    strength: Callable[[View], Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match=words):
        testing.check_recordable(Reading(strength))
    capsys.readouterr()
