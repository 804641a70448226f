"""One process a test worker that has imported everything; those that are forked from it start at once."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

EVERYTHING = ["support.distributed.worker", "support.killing", "ganlab.runs.session", "ganlab.config.compose"]


def context() -> ForkServerContext:
    """Return what starts processes that are forked from it. Python has one such server and takes its first list."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(EVERYTHING)
    here = os.getcwd()
    os.chdir("/")  # the server would find modules in the current folder; a process itself goes back to it
    try:
        forkserver.ensure_running()
    finally:
        os.chdir(here)
    return found
