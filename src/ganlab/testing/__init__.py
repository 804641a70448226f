"""Checks of components, also for the authors of plug-ins.

    from ganlab import testing

    def test_my_loss_keeps_the_contract():
        testing.check_loss(MyLoss(margin=2.0))

Each raises an ``AssertionError`` that says what was found. They run on a CPU in well under a second
for small networks, change nothing that they are given, and leave torch's generators as they found them.
`ToyGenerator`, `ToyDiscriminator` and `toy_game` make a smallest game to play with.
"""

from ganlab.testing.losses import check_loss
from ganlab.testing.metrics import check_metric
from ganlab.testing.networks import check_discriminator, check_generator
from ganlab.testing.recordable import check_recordable
from ganlab.testing.regularizers import check_regularizer
from ganlab.testing.toys import ToyDiscriminator, ToyGenerator, rehearse, toy_game, toy_view

__all__ = [
    "ToyDiscriminator",
    "ToyGenerator",
    "check_discriminator",
    "check_generator",
    "check_loss",
    "check_metric",
    "check_recordable",
    "check_regularizer",
    "rehearse",
    "toy_game",
    "toy_view",
]
