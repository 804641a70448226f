"""The commit of a git checkout, read from its files: no process is started, and git need not be installed."""

from __future__ import annotations

import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def commit(folder: Path) -> str | None:
    """Return the commit that is checked out where a folder lies, in hexadecimal digits; None outside a git checkout.

    What was changed since the commit is not looked at: in a large checkout that takes seconds.
    """
    try:
        folder = folder.absolute()
        git = next(path for above in (folder, *folder.parents) if (path := above / ".git").exists())
        if git.is_file():  # a worktree or a submodule: the file names the folder
            git = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if head.startswith("ref:"):
            head = _branch(git, head.removeprefix("ref:").strip())
    except (OSError, ValueError, StopIteration):
        return None
    return head if _COMMIT.fullmatch(head) else None


def _branch(git: Path, name: str) -> str:
    """Return the commit of a branch; branches of a worktree lie in the folder of the first checkout."""
    shared = git / "commondir"
    home = (git / shared.read_text().strip()).resolve() if shared.is_file() else git
    for path in (git / name, home / name):
        if path.is_file():
            return path.read_text().strip()
    lines = (home / "packed-refs").read_text().splitlines()
    return next((line.partition(" ")[0] for line in lines if line.endswith(f" {name}")), "")
