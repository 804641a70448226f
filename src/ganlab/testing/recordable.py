"""The check that turns with a regularizer can be recorded and replayed."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.setting import Setting
from ganlab.core.errors import GanlabError
from ganlab.priors import Normal
from ganlab.testing.comparison import require
from ganlab.testing.tape import Tape
from ganlab.testing.toys import toy_game

_ITERATIONS, _BATCH = 6, 4


@torch.random.fork_rng(devices=[])
def check_recordable(regularizer: Regularizer, *, image_shape: Sequence[int] = (3, 8, 8)) -> None:
    """Check that toy networks get the same weights when turns are recorded and replayed, as with ``recorded=true``.

    A regularizer that says why it cannot be recorded passes.

    Args:
        regularizer: One that is not attached to a game; its turns must be played at least every other iteration.
        image_shape: Of the images of the game.

    Raises:
        AssertionError: If a turn reads a value on the host, draws in another way than before, or has a number of
            Python that changes.
    """
    if regularizer.unrecordable:
        return
    name, tape = type(regularizer).__name__, Tape()
    try:
        expected, found = (_played(regularizer, image_shape, each) for each in (None, tape))
    except (GanlabError, ValueError) as error:
        raise AssertionError(f"{name} is not for a game with images of shape {tuple(image_shape)}: {error}") from error
    require(not tape.failures, f"a turn with {name} cannot be recorded: {'; '.join(tape.failures)}")
    require(tape.replayed > 0, f"no turn with {name} was played often enough to be recorded")
    other = [key for key, value in expected.items() if not torch.equal(value, found[key])]
    words = "has a number that changes between iterations and is no tensor"
    require(not other, f"a turn with {name} {words}: a replay gives other values of {', '.join(other[:3])}")


def _played(regularizer: Regularizer, image_shape: Sequence[int], tape: Tape | None) -> dict[str, Tensor]:
    """Return weights and buffers after some iterations."""
    # here, since it imports Lightning, which other checks do without
    from ganlab.engine.averaging import Average
    from ganlab.engine.module import GameModule, Training

    torch.manual_seed(0)
    game, attached = toy_game(image_shape), copy.deepcopy(regularizer)
    attached.attach(game)
    factories = dict.fromkeys(game.players, lambda parameters: torch.optim.SGD(parameters, lr=0.05))
    setting = Setting(prior=Normal(), latent_dim=int(game.get_submodule("generator").latent_dim))  # type: ignore[arg-type]
    options = Training(batch_size=_BATCH)
    module = GameModule(game, {"checked": attached}, factories, setting, Average({}), options)
    module.begin()
    if tape is not None:
        module.record(tape)
    random = torch.Generator().manual_seed(1)
    for _ in range(_ITERATIONS):
        reals = [torch.rand(_BATCH, *image_shape, generator=random) * 2 - 1 for _ in range(4)]  # a turn each, at most
        module.iterate({"images": reals, "labels": [None] * len(reals)})
    return {key: value.detach().clone() for key, value in module.state_dict().items() if isinstance(value, Tensor)}
