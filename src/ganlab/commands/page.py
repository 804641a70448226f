"""``ganlab page RUN``: the page of one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ganlab.commands.command import RUN, Command, Flag
from ganlab.core.ranges import at_least


@dataclass
class Page(Command):
    """Write page.html of a run: scores, losses and every other scalar over training, grids under a
    slider, configuration, command line and environment. It opens from disk.

      ganlab page runs/2026-11-21_10-00-00_sngan_digits_hinge_0 --watch

    Args:
        every_seconds: with --watch, the interval
        watch: write it again while the run goes on, until it ends or Ctrl-C; an open page follows
    """

    run_folder: Annotated[str, RUN]
    every_seconds: Annotated[int, at_least(1)] = 10
    watch: Annotated[bool, Flag(("--watch",))] = False

    def __call__(self) -> int:
        from ganlab.core import files
        from ganlab.runs import following, run_folder

        folder = run_folder.existing(self.run_folder)
        for path in following.pages(folder, self.every_seconds if self.watch else None):
            print(f"to look at: {files.typed(path)}", flush=True)
        return 0
