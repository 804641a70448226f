"""Count the modules of ganlab that a command line walks through before its first training step.

    python benchmarks/module_walk.py loss=hinge

Printed are the modules whose functions were called by, or called, functions of another module of ganlab, and the
number of such calls (changes of module), from `ganlab.cli.main` to the first `training_step`. Fewer of both is a
program that is easier to follow. Calls through Lightning or Hydra and bodies of modules and classes do not count.
"""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from types import FrameType
from typing import Any

from ganlab import cli


class Walk:
    """A profiler for `sys.setprofile`."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.changes = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call" or not frame.f_code.co_flags & inspect.CO_NEWLOCALS:
            return
        callee = frame.f_globals.get("__name__", "")
        caller = frame.f_back.f_globals.get("__name__", "") if frame.f_back else ""
        if callee != caller and callee.startswith("ganlab.") and caller.startswith("ganlab."):
            self.modules |= {callee, caller}
            self.changes += 1
        if callee == "ganlab.engine.module" and frame.f_code.co_name == "training_step":
            sys.setprofile(None)
            print(f"{len(self.modules)} modules, {self.changes} changes of module")
            sys.stdout.flush()
            os._exit(0)


if __name__ == "__main__":
    os.chdir(tempfile.mkdtemp())
    sys.setprofile(Walk())
    cli.main(["train", *sys.argv[1:]])
