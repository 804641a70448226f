"""Top-k training: arXiv:2002.06224."""

import pytest
import torch
from support.rehearsals import DISCRIMINATOR, GENERATOR, Linear, Rehearsal
from torch.testing import assert_close

from ganlab.contracts.turn import Turn
from ganlab.core.errors import GanlabError
from ganlab.games.standard import Standard
from ganlab.losses.non_saturating import NonSaturating
from ganlab.losses.relativistic import Relativistic
from ganlab.regularizers.top_k import TopK
from ganlab.testing import ToyDiscriminator, ToyGenerator, check_regularizer


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_it_keeps_the_contract(share: float) -> None:
    assert check_regularizer(TopK(share=share)) == []


@pytest.mark.parametrize(("share", "k"), [(0.5, 3), (0.01, 1), (1.0, 6), (0.75, 4)])
def test_the_generator_learns_from_the_best_alone(share: float, k: int) -> None:
    """The mean of softplus(-d) over the k largest d of six; the discriminator's loss is over all six."""
    play = Rehearsal(Linear((2, 4, 4)), TopK(share=share))
    view = play.view(GENERATOR)
    logits = view.logits(view.fakes())
    best = sorted(logits.tolist(), reverse=True)[:k]
    loss = play.game.objective(GENERATOR, view)["generator"]["adversarial"]
    assert_close(loss.item(), sum(torch.nn.functional.softplus(torch.tensor(-d)).item() for d in best) / k)
    (slope,) = torch.autograd.grad(loss, logits)
    assert int((slope != 0).sum()) == k
    view = play.view(DISCRIMINATOR)
    _, fake = view.scores()
    assert len(fake) == 6


def test_a_loss_that_compares_sees_the_reals_that_the_kept_fakes_are_paired_with() -> None:
    play = Rehearsal(Linear((2, 4, 4)), TopK(share=0.5), loss=Relativistic())
    turn = next(t for t in play.game.all_turns() if t.has("generator"))
    view = play.view(turn)
    real, fake = view.logits(view.reals), view.logits(view.fakes())
    kept = fake.argsort(descending=True)[:3]
    expected = Relativistic().generator(real_logits=real[kept], fake_logits=fake[kept])
    assert_close(play.game.objective(turn, view)["generator"]["adversarial"], expected)


def test_a_game_that_evaluates_both_players_at_once_is_refused() -> None:
    class OneTurn(Standard):
        def turns(self) -> tuple[Turn, ...]:
            return (Turn(("discriminator", "generator"), reals="fresh", counts=True),)

    game = OneTurn(generator=ToyGenerator(), discriminator=ToyDiscriminator(), loss=NonSaturating())
    with pytest.raises(GanlabError, match="in this game both players share one"):
        TopK().attach(game)


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"share must be in \(0, 1\], got"):
        TopK(share=share)
