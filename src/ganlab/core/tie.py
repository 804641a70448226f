"""Processes that end with the one that started them, also if that was killed."""

from __future__ import annotations

import os
import signal
import threading

MARK = "GANLAB_TIED"  # in the environment of a process whose standard input is a pipe of the one that started it


def watch() -> None:
    """End this process as by SIGTERM as soon as the process that tied it has ended.

    That process holds the other end of standard input, which is closed however it ends. Processes that are started from
    here are not tied.
    """
    if os.environ.pop(MARK, None) is not None:
        threading.Thread(target=_wait, name="tie", daemon=True).start()


def _wait() -> None:
    try:
        while os.read(0, 1024):
            pass
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGTERM)
