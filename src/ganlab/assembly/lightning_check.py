"""Checks of a user's Trainer, for a module that steps its players itself."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import lightning as L
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden

from ganlab.core import distributed
from ganlab.core.errors import GanlabError

PRECISIONS = ("32-true", "bf16-mixed", "64-true")


def fit(trainer: L.Trainer) -> None:
    """Make a Trainer's strategy leave gradients to the module, which averages those of each turn itself.

    ``ddp`` keeps its processes, and its wrapper is left out: it stops at parameters that have no gradient, which are
    those of the player whose turn it is not, and makes double backward fragile.

    Raises:
        GanlabError: If the Trainer's strategy, precision or another option cannot train two players.
    """
    strategy: Any = trainer.strategy
    if isinstance(strategy, DDPStrategy):
        strategy.configure_ddp = partial(_broadcast, strategy)  # type: ignore[method-assign]
    elif not isinstance(strategy, SingleDeviceStrategy):
        raise GanlabError(
            f"strategy={type(strategy).__name__} shards or wraps the networks, and GANModule steps each player by "
            f"itself: write strategy='ddp'."
        )
    for words in (".*no pre-optimization state was saved.*", ".*in eval mode at the start of training.*"):
        warnings.filterwarnings("ignore", message=words)  # what is kept is the state after the step, and averages
    if trainer.precision not in PRECISIONS:
        half = (
            "16-bit floats overflow in gradient penalties and need a scaler a player"
            if "16" in str(trainer.precision)
            else "networks keep their weights in 32 bits"
        )
        raise GanlabError(f"precision={trainer.precision!r}: {half}; write precision='bf16-mixed'.")
    if getattr(strategy, "_layer_sync", None) is not None:
        raise GanlabError(
            "sync_batchnorm=True would exchange layers after the averaged generator was made: call "
            "torch.nn.SyncBatchNorm.convert_sync_batchnorm on your networks before GANModule.of."
        )


def options(trainer: L.Trainer) -> None:
    """Check options of a Trainer that belong to a module which has one optimizer.

    Raises:
        GanlabError: If one is set.
    """
    if (batches := trainer.accumulate_grad_batches) != 1:
        raise GanlabError(
            f"accumulate_grad_batches={batches} is for modules with one optimizer: write GANModule.of(..., "
            f"accumulate={batches})."
        )
    if trainer.gradient_clip_val:
        raise GanlabError(
            f"gradient_clip_val={trainer.gradient_clip_val:g} does not say whose gradient: write "
            f"GANModule.of(..., clip={{'generator': {trainer.gradient_clip_val:g}}})."
        )


def scoring(trainer: L.Trainer, module: L.LightningModule) -> None:
    """Check that a module which is validated or tested has scores.

    Raises:
        GanlabError: If it has none.
    """
    for method, step, asked in (
        ("validate", "validation_step", trainer.validating),
        ("test", "test_step", trainer.testing),
    ):
        if asked and not is_overridden(step, module):
            raise GanlabError(
                f"trainer.{method} scores samples, and the module has no metrics: write "
                f"GANModule.of(..., metrics=['fid'], features='inception'), or give these to load_from_checkpoint."
            )


def _broadcast(strategy: DDPStrategy) -> None:
    """Give every process the weights of the first one; what DDP's wrapper would do at the beginning."""
    assert strategy.model is not None
    distributed.broadcast(strategy.model)
