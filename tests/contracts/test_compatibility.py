"""Conditions that components declare, and the sentences made of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import nn

from ganlab.contracts.compatibility import WORDS, provided, refusals


def part(**declared: Any) -> Any:
    return SimpleNamespace(**declared)


def test_who_declares_nothing_goes_with_everything() -> None:
    assert refusals({"loss=a": part(), "reg=b": object(), "game=c": part(provides=("x",))}) == []


def test_a_need_that_nobody_meets_is_said_with_what_to_add() -> None:
    needy = part(needs=("energy",))
    (sentence,) = refusals({"loss=a": needy, "discriminator=b": nn.Linear(1, 1)})
    what, advice = WORDS["energy"]
    assert sentence == f"loss=a needs {what}, which this run lacks: {advice}."
    assert refusals({"loss=a": needy, "discriminator=b": part(provides=("energy",), modules=list)}) == []


def test_a_word_of_a_plug_in_needs_no_table() -> None:
    (sentence,) = refusals({"reg=a": part(needs=("warp",))})
    assert sentence == "reg=a needs what is called 'warp', which this run lacks: add a component that provides it."


def test_a_refusal_names_both_and_the_reason_and_nobody_refuses_itself() -> None:
    picky = part(refuses={"pairing": "pairs need as many fakes as reals"}, provides=("pairing",))
    assert refusals({"reg=a": picky}) == []
    found = refusals({"reg=a": picky, "loss=b": part(provides=("pairing",))})
    assert found == ["reg=a does not go with loss=b: pairs need as many fakes as reals."]


def test_a_discriminator_shows_what_it_has() -> None:
    class Plain(nn.Module):
        num_classes = 3

        def __init__(self, share: float) -> None:
            super().__init__()
            self.drop = nn.Dropout2d(share)

        def features(self) -> None: ...

        def head(self) -> None: ...

    assert provided(Plain(0.5), "discriminator") == {"features", "embedding", "dropout_places", "labels", "dropout"}
    assert provided(Plain(0.0), "discriminator") == {"features", "embedding", "dropout_places", "labels"}
    assert provided(Plain(0.5), "generator") == set()
