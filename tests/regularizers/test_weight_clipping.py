"""Weight clipping: arXiv:1701.07875, algorithm 1."""

import pytest
import torch
from support.engine import Engine, pair
from support.rehearsals import end_step
from torch.testing import assert_close

from ganlab.core.errors import GanlabError
from ganlab.games.standard import Standard
from ganlab.losses.wasserstein import Wasserstein
from ganlab.regularizers.weight_clipping import WeightClipping
from ganlab.testing import check_regularizer, toy_game


def test_it_keeps_the_contract() -> None:
    assert check_regularizer(WeightClipping()) == []


def test_every_step_ends_within_the_limit_and_the_step_itself_is_the_optimizers() -> None:
    """clip(w - rate · gradient, -c, c) of all parameters, biases too; the generator's are left alone."""
    generator, discriminator = pair()
    game = Standard(generator=generator, discriminator=discriminator, loss=Wasserstein())
    engine = Engine(game, {"weight_clipping": WeightClipping(limit=0.2)}, rate=0.1)
    before = torch.cat([p.detach().flatten() for p in discriminator.parameters()])
    engine.iterate()
    after = torch.cat([p.detach().flatten() for p in discriminator.parameters()])
    gradient = next(g for player, g in engine.gradients if player == "discriminator")
    assert_close(after, (before - 0.1 * gradient).clamp(-0.2, 0.2))
    assert (after.abs() == torch.tensor(0.2)).any()
    assert any((p.abs() > 0.2).any() for p in generator.parameters())


def test_other_players_may_be_named() -> None:
    game = toy_game()
    regularizer = WeightClipping(limit=0.1, players=("generator",))
    regularizer.attach(game)
    end_step(game, regularizer, game.turns()[0])
    assert any((p.abs() > 0.1).any() for p in game.generator.parameters())
    end_step(game, regularizer, game.turns()[1])
    assert all((p.abs() <= torch.tensor(0.1)).all() for p in game.generator.parameters())
    assert any((p.abs() > 0.1).any() for p in game.discriminator.parameters())
    with pytest.raises(GanlabError, match="this game has no player 'critic'"):
        WeightClipping(players=("critic",)).attach(game)


@pytest.mark.parametrize("limit", [0.0, -0.01, float("inf"), float("nan")])
def test_a_limit_that_is_not_positive_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="limit must be finite and positive, got"):
        WeightClipping(limit=limit)
