"""ganlab: a plug-in based GAN experiment toolkit on Lightning and Hydra.

    run = ganlab.train(["model=dcgan", "trainer.max_steps=200"])
    images = run.sample(16, labels=3)
    images = ganlab.load("runs/2026-11-21_10-00-00_sngan_digits_hinge_0").sample(16, truncation=0.7)

The classes that plug-ins are written against (`ganlab.contracts`) are here too: ``ganlab.Regularizer``,
``ganlab.Game``, ... They are imported when they are first asked for: importing this module imports neither torch
nor lightning nor hydra.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ganlab.core.errors import GanlabError

if TYPE_CHECKING:
    import torch

    from ganlab.adversary.adversary import Adversary
    from ganlab.assembly.data_module import DataModule
    from ganlab.assembly.gan_module import GANModule
    from ganlab.contracts import (
        Accumulator,
        Address,
        Batch,
        Chart,
        Context,
        Dataset,
        Ending,
        Examples,
        Extractor,
        Game,
        Grid,
        Grows,
        Growth,
        Instrument,
        Kept,
        Line,
        Metric,
        Objectives,
        Picture,
        Player,
        Points,
        Progress,
        Regularizer,
        Role,
        RunContext,
        Score,
        Stage,
        Step,
        Stream,
        Subject,
        Summary,
        Table,
        Terms,
        Turn,
        Value,
        View,
    )
    from ganlab.core.registry import register
    from ganlab.runs.run import Run

__version__ = "0.1.0"
__all__ = [
    "Accumulator",
    "Address",
    "Adversary",
    "Batch",
    "Chart",
    "Context",
    "DataModule",
    "Dataset",
    "Ending",
    "Examples",
    "Extractor",
    "GANModule",
    "Game",
    "GanlabError",
    "Grid",
    "Grows",
    "Growth",
    "Instrument",
    "Kept",
    "Line",
    "Metric",
    "Objectives",
    "Picture",
    "Player",
    "Points",
    "Progress",
    "Regularizer",
    "Role",
    "Run",
    "RunContext",
    "Score",
    "Stage",
    "Step",
    "Stream",
    "Subject",
    "Summary",
    "Table",
    "Terms",
    "Turn",
    "Value",
    "View",
    "load",
    "register",
    "train",
]
MODULES = ("metrics", "optimizers")


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for.

    With ``python -m ganlab`` everything that is imported here may come from the current folder, see `ganlab.__main__`.
    """
    if name not in __all__ and name not in MODULES:
        raise AttributeError(f"module 'ganlab' has no attribute {name!r}")
    if name in MODULES:
        return importlib.import_module(f"ganlab.{name}")
    homes = {
        "Adversary": "ganlab.adversary.adversary",
        "DataModule": "ganlab.assembly.data_module",
        "GANModule": "ganlab.assembly.gan_module",
        "Run": "ganlab.runs.run",
        "register": "ganlab.core.registry",
    }
    return getattr(importlib.import_module(homes.get(name, "ganlab.contracts")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def train(overrides: str | Sequence[str] = (), **options: Any) -> Run:
    """Train as ``ganlab train`` does with these words and options, and load the run.

        ganlab.train(model="dcgan", reg={"r1": {"gamma": 2}}, data={"batch_size": 32}, trainer={"max_steps": 200})

    Args:
        overrides: Words such as ``["model=dcgan", "trainer.max_steps=5"]``, or one string of them, which is split as
            a shell would: ``"model=dcgan reg='[sn,ortho]'"``.
        options: The same as keywords: a name, a list of names, a component with options, or a mapping of options.

    Raises:
        GanlabError: For every error that a user can fix, and if the last checkpoint could not be written.
    """
    from ganlab.config import code_words, command_line, compose
    from ganlab.core import code_files
    from ganlab.runs import inherited, session
    from ganlab.runs.run import Run

    words = command_line.given(overrides)
    with code_files.session():
        words = code_words.allowed([*words, *command_line.words(options)])
        outcome = session.start(compose.read(words, inherited.options(words)))
        if outcome.unsaved is not None:
            raise GanlabError(outcome.unsaved)
        return Run(outcome.folder, code=code_files.allowed())


def load(
    run: str | os.PathLike[str] | Run,
    checkpoint: str | int | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    code: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    accept_changed_code: bool = False,
) -> Run:
    """Load a run from its folder; a loaded run is returned as it is, unless another checkpoint or device is named.

    What ``ganlab export`` wrote is loaded too, and then samples, styles, prior and labels are what there is of a run:
    see `ganlab.runs.exported.Exported`.

    Args:
        run: A loaded run, or a folder or checkpoint, see `ganlab.Run`; or an export: a folder, a .safetensors file, or
            ``hf://OWNER/NAME`` on the Hugging Face Hub.
        checkpoint: See `ganlab.Run`; None: the newest whole one.
        device: See `ganlab.Run`; None: the CPU.
        code: Files of a user's own whose classes the run was made with, see `ganlab.Run`.
        accept_changed_code: See `ganlab.Run`.

    Raises:
        GanlabError: As `ganlab.Run`.
    """
    from ganlab.runs import choice, exported
    from ganlab.runs.run import Run

    if not isinstance(run, Run) and exported.is_export(run):
        found: Any = exported.opened(run, checkpoint, device, code)
        return found
    if isinstance(run, Run):
        if checkpoint is None and device is None:
            return run
        return Run(run.folder, run.checkpoint if checkpoint is None else checkpoint, device or "cpu", run.code)
    which = choice.NEWEST if checkpoint is None else checkpoint
    return Run(run, which, device or "cpu", code, accept_changed_code)
