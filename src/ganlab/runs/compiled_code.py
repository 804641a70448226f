"""The place of what torch.compile has made, which is kept so that the next run begins sooner."""

from __future__ import annotations

import os
from contextlib import suppress

from ganlab.core.cache import cache_folder, remove_older

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
_KEPT_SECONDS = 30 * 24 * 3600


def keep() -> None:
    """Have torch keep compiled code in ganlab's cache folder, from which goes what nobody has used for a month.

    Torch's own place, in the folder of temporary files, is empty after a restart, and nothing removes what is old.
    Where the variable names another one, or the folder cannot be written, nothing changes.
    """
    if VARIABLE in os.environ:
        return
    folder = cache_folder() / "compiled"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        remove_older(folder, _KEPT_SECONDS)
        os.environ[VARIABLE] = str(folder)
