"""Addresses of regularizers, and buffers that take new values after a step."""

from typing import Any

import pytest
import torch
from support.engine import BATCH, Engine, pair, points
from torch import Tensor
from torch.testing import assert_close

from ganlab.augmentations.ada import ADA
from ganlab.contracts.address import Address
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.games.standard import Standard
from ganlab.losses.non_saturating import NonSaturating
from ganlab.regularizers.lecam import LeCam
from ganlab.regularizers.path_length import PathLength
from ganlab.regularizers.sn import SpectralNormalization
from ganlab.regularizers.vib import VariationalInformationBottleneck


class Following(Regularizer):
    """The mean of the reals is kept in a buffer; the term is 0."""

    addresses = (Address("discriminator"),)
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.seen: list[float] = []

    def terms(self, player: str, view: View) -> Terms:
        self.seen.append(self.mean.item())
        view.update(self.mean, view.reals.images.mean())
        return {"following": 0 * view.logits(view.reals).mean()}


def engine(regularizer: Regularizer, **options: Any) -> Engine:
    generator, discriminator = pair()
    game = Standard(generator=generator, discriminator=discriminator, loss=NonSaturating())
    return Engine(game, {"it": regularizer}, rate=0.1, **options)


def test_a_buffer_takes_the_mean_over_micro_batches_after_the_step_and_not_before() -> None:
    regularizer = Following()
    played = engine(regularizer, accumulate=4)
    played.iterate()
    assert regularizer.seen == [0.0] * 4
    assert_close(regularizer.mean, points(0, BATCH).mean())


def test_old_checkpoints_have_the_buffers_of_all_regularizers_with_state() -> None:
    """Runs of version 0.1.0 have these and no others; their lists were empty between two iterations."""
    assert set(LeCam().state_dict()) == {"anchors", "started"}
    assert set(PathLength().state_dict()) == {"length"}
    assert set(VariationalInformationBottleneck().state_dict()) == {"beta"}
    assert set(ADA().state_dict()) == {"adapted", "signs", "since"}


def test_after_a_checkpoint_is_loaded_no_spectral_norm_of_before_is_taken_again() -> None:
    played = engine(SpectralNormalization(players=("discriminator",)))
    played.iterate()
    checkpoint: dict[str, Any] = {}
    played.module.on_save_checkpoint(checkpoint)
    state = {name: tensor.clone() for name, tensor in played.module.state_dict().items()}
    played.iterate()
    expected = played.weights().clone()
    for _ in range(2):  # the generator's turn leaves norms of other weights behind
        played.iterate()
    played.module.on_load_checkpoint(checkpoint)
    played.module.load_state_dict(state)
    played.iterate()
    assert torch.equal(played.weights(), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"turn": "own", "interval_steps": 0}, "interval_steps must be at least 1, got 0"),
        ({"turn": "own", "batch": 0.0}, r"batch must be in \(0, 1\], got 0"),
        ({"interval_steps": 2}, "interval_steps above 1 needs a turn of its own: name one in the address"),
    ],
)
def test_addresses_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Address("discriminator", **options)
