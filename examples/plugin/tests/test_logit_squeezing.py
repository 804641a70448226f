import math

import pytest
import torch
from ganlab_example_plugin.logit_squeezing import LogitSqueezing
from torch.testing import assert_close

from ganlab import testing


def test_the_regularizer_keeps_ganlabs_contract() -> None:
    assert testing.check_regularizer(LogitSqueezing(weight=0.5)) == []


def test_its_term_is_half_the_weight_times_the_mean_squares_of_both_logits() -> None:
    game = testing.toy_game()
    regularizer = LogitSqueezing(weight=3.0)
    regularizer.attach(game)
    turn = game.turns()[0]
    reals = torch.rand(4, 3, 8, 8)
    view = testing.toy_view(game, [regularizer], turn, reals=reals)
    found = regularizer.terms("discriminator", view)["logit_squeezing"].detach()
    real_logits, fake_logits = (game.discriminator(x).detach() for x in (reals, view.fakes().images))
    expected = sum(3.0 * (float(r) ** 2 + float(f) ** 2) / 2 / 4 for r, f in zip(real_logits, fake_logits, strict=True))
    assert_close(float(found), expected)


def test_the_generator_gets_no_term() -> None:
    game = testing.toy_game()
    regularizer = LogitSqueezing()
    regularizer.attach(game)
    assert "logit_squeezing" not in testing.rehearse(game, [regularizer], game.turns()[1])["generator"]


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weight must be finite"):
        LogitSqueezing(weight)
