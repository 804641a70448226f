"""The check of recorded turns passes what can be recorded, and says what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ganlab import testing
from ganlab.contracts.address import Address
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.regularizers.lecam import LeCam
from ganlab.regularizers.path_length import PathLength


class Drift(Regularizer):
    """A penalty of a strength that some function gives."""

    addresses = (Address("discriminator"),)

    def __init__(self, strength: Callable[[View], Any]) -> None:
        super().__init__()
        self.strength = strength

    def terms(self, player: str, view: View) -> Terms:
        return {"drift": self.strength(view) * view.logits(view.reals).square().mean()}


@pytest.mark.parametrize("regularizer", [LeCam(), PathLength(interval_steps=1), LeCam(start_kimg=1)])
def test_what_can_be_recorded_or_says_that_it_cannot_passes(regularizer: Regularizer) -> None:
    testing.check_recordable(regularizer)


@pytest.mark.parametrize(
    ("strength", "words"),
    [
        (lambda view: float(view.reals.images.detach().mean()), "_local_scalar_dense makes the host wait"),
        (lambda view: 1 + view.iteration, "has a number that changes between iterations and is no tensor"),
        (lambda view: torch.rand((), generator=torch.Generator().manual_seed(0)), "made while it was recorded"),
    ],
)
def test_what_cannot_be_recorded_is_found(
    strength: Callable[[View], Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match=words):
        testing.check_recordable(Drift(strength))
    capsys.readouterr()
