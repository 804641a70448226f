"""LeCam: arXiv:2104.03310, and the authors' code (fixtures/make_lecam.py)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.rehearsals import GENERATOR, Linear, Rehearsal
from torch import Tensor
from torch.testing import assert_close

from ganlab.contracts.pending import Pending
from ganlab.contracts.plan import Progress
from ganlab.contracts.regularizer import Regularizer
from ganlab.regularizers.lecam import LeCam
from ganlab.testing import check_regularizer


class Given:
    """A view whose logits are given."""

    def __init__(self, real: Tensor, fake: Tensor) -> None:
        self.reals, self._fakes = real, fake
        self.pending = Pending()
        self.update = self.pending.add

    def fakes(self) -> Tensor:
        return self._fakes

    def logits(self, points: Tensor) -> Tensor:
        return points


def step(regularizer: Regularizer, real: Tensor, fake: Tensor) -> Any:
    view = Given(real, fake)
    terms = regularizer.terms("discriminator", view)  # type: ignore[arg-type]
    view.pending.settle()
    return terms.get("lecam")


def test_it_keeps_the_contract_but_for_what_it_holds_constant() -> None:
    assert check_regularizer(LeCam(), exact_gradient=False) == []


def test_one_sided_it_is_the_authors_over_several_steps() -> None:
    with np.load(Path(__file__).parent / "fixtures" / "lecam.npz") as file:
        fixture = {name: torch.from_numpy(file[name]) for name in file.files}
    regularizer = LeCam(weight=1.0, decay=0.9, one_sided=True).double()
    for i, logits in enumerate(fixture["logits"]):
        real, fake = (t.clone().requires_grad_() for t in logits)
        value = step(regularizer, real, fake)
        assert_close(value.detach(), fixture["values"][i])
        assert_close(torch.stack(torch.autograd.grad(value, (real, fake))), fixture["gradients"][i])
        assert_close(regularizer.anchors, fixture["anchors"][i])


def test_two_sided_it_is_a_squared_distance_to_the_others_average() -> None:
    """weight (E[(D(x) - a_F)^2] + E[(D(G) - a_R)^2]); the averages of the second step are 0.75 a + 0.25 mean."""
    first, second = torch.tensor([[[1.0, 3.0], [-1.0, -2.0]], [[2.0, 6.0], [0.0, 1.0]]]).double()
    regularizer = LeCam(weight=2.0, decay=0.75).double()
    assert_close(step(regularizer, *first).item(), 2 * (((2.5**2 + 4.5**2) / 2) + (3.0**2 + 4.0**2) / 2))
    of_reals, of_fakes = 0.75 * 2 + 0.25 * 4, 0.75 * -1.5 + 0.25 * 0.5
    real, fake = second.clone().requires_grad_().unbind()
    value = step(regularizer, real, fake)
    expected = 2 * (sum((r - of_fakes) ** 2 for r in (2.0, 6.0)) / 2 + sum((f - of_reals) ** 2 for f in (0.0, 1.0)) / 2)
    assert_close(value.item(), expected)
    assert_close(torch.autograd.grad(value, real)[0], 2 * (second[0] - of_fakes))


def test_it_is_a_term_of_the_discriminators_main_turn() -> None:
    play = Rehearsal(Linear((2, 4, 4)), LeCam())
    assert play.term("lecam") > 0
    assert play.terms(GENERATOR) == {}


def test_before_its_start_the_averages_are_the_present_means_and_the_term_is_zero() -> None:
    regularizer = LeCam(start_kimg=20.0, weight=1.0).double()
    fake = torch.zeros(2).double()
    for seen, mean in ((0, 3.0), (19_999, -5.0)):
        regularizer.before_iteration(Progress(images_seen=seen))
        real = torch.full((2,), mean).double().requires_grad_()
        value = step(regularizer, real, fake)
        assert value.item() == 0
        assert torch.equal(torch.autograd.grad(value, real)[0], fake)
    regularizer.before_iteration(Progress(images_seen=20_000))
    assert step(regularizer, torch.full((2,), 1.0).double(), fake) > 0
    assert_close(regularizer.anchors[0].item(), 0.99 * -5.0 + 0.01 * 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight must be finite and at least 0"),
        ({"decay": 1.0}, r"decay must be in \[0, 1\), got 1.0"),
        ({"start_kimg": -1.0}, "start_kimg must be finite and at least 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LeCam(**options)
