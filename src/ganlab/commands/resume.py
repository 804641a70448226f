"""``ganlab resume RUN``: continue a run or a sweep."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ganlab.commands.coded import Coded
from ganlab.commands.command import RUN, Command, Passed


@dataclass
class Resume(Coded, Command):
    """Continue a run from its newest whole checkpoint, with the result that an uninterrupted run
    would have had. Options of the run may be changed, except for those that change the networks:

      ganlab resume runs/2026-11-21_10-00-00_sngan_digits_hinge_0 trainer.max_steps=5000

    The data must be what the run was trained on; data.changed=accept goes on with other images.

    RUN may be the folder of a sweep: finished jobs are kept, those that were stopped or killed go
    on, missing ones start, and failed ones are tried again. Options may change how it runs
    (sweep.jobs, sweep.fail, sweep.trials, hydra/launcher), and not what:

      ganlab resume sweeps/2026-11-21_10-00-00 sweep.jobs=2
    """

    run_folder: Annotated[str, RUN]
    overrides: Annotated[Sequence[str], Passed(offers=("options",))] = ()

    def __call__(self) -> int:
        from ganlab.commands import compare
        from ganlab.config import command_line
        from ganlab.runs import run_folder, session
        from ganlab.runs.sweeps import record, sweep

        if record.is_sweep(Path(os.path.expanduser(self.run_folder))):
            return sweep.resume(record.existing(self.run_folder), list(self.overrides), compare.at_the_end)
        folder = run_folder.existing(self.run_folder)
        overrides = {o.get_key_element().lstrip("+"): o.value() for o in command_line.parse(self.overrides)}
        return session.resume(folder, overrides).exit_code
