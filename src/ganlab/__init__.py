"""ganlab: a plug-in based GAN experiment toolkit on Lightning and Hydra.

    run = ganlab.train(["model=dcgan", "trainer.max_steps=200"])
    images = run.sample(16, labels=3)
    images = ganlab.load("runs/2026-11-21_10-00-00_sngan_digits_hinge_0").sample(16, truncation=0.7)

Importing this module imports neither torch nor lightning.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganlab.core.errors import GanlabError
from ganlab.core.registry import register

if TYPE_CHECKING:
    from ganlab.runs.run import Run

__version__ = "0.1.0"
__all__ = ["GanlabError", "load", "register", "train"]


def train(overrides: str | Sequence[str] = ()) -> Run:
    """Train as ``ganlab train`` does with these words, and load the run.

    Args:
        overrides: Words such as ``["model=dcgan", "trainer.max_steps=5"]``, or one string of them, which is split as
            a shell would: ``"model=dcgan reg='[sn,ortho]'"``.

    Raises:
        GanlabError: For everything that a user can mend, and if the last checkpoint could not be written.
    """
    from ganlab.config import compose
    from ganlab.runs import fine_tuning, session
    from ganlab.runs.run import Run

    words = compose.split(overrides) if isinstance(overrides, str) else overrides
    outcome = session.start(compose.read(fine_tuning.with_inherited(words)))
    if outcome.unsaved is not None:
        raise GanlabError(outcome.unsaved)
    return Run(outcome.folder)


def load(run: str | os.PathLike[str] | Run) -> Run:
    """Load a run from its folder; a loaded run is returned as it is.

    Raises:
        GanlabError: If the folder is no run or holds no whole checkpoint.
    """
    from ganlab.runs.run import Run

    return run if isinstance(run, Run) else Run(run)
