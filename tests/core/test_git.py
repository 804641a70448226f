"""The commit of a checkout equals what git says; outside a checkout, or of a damaged one, there is none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ganlab.core import git

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def call(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    return subprocess.run(("git", *who, *words), cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "inner").mkdir(parents=True)
    call(folder, "init", "-q", "-b", "a/branch")
    call(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


@needs_git
def test_the_commit_is_what_git_says(checkout: Path, tmp_path: Path) -> None:
    head = call(checkout, "rev-parse", "HEAD")
    assert git.commit(checkout) == git.commit(checkout / "inner") == head
    call(checkout, "pack-refs", "--all")
    assert git.commit(checkout) == head
    call(checkout, "checkout", "-q", "--detach")
    assert git.commit(checkout) == head
    call(checkout, "worktree", "add", "-q", "-b", "other", str(tmp_path / "worktree"))
    call(tmp_path / "worktree", "commit", "-q", "--allow-empty", "-m", "second")
    assert git.commit(tmp_path / "worktree") == call(tmp_path / "worktree", "rev-parse", "HEAD") != head


def test_outside_a_checkout_there_is_none(tmp_path: Path) -> None:
    if any((above / ".git").exists() for above in tmp_path.parents):
        pytest.skip("the temporary folder lies in a git checkout")
    assert git.commit(tmp_path) is None


@pytest.mark.parametrize("head", ["", "ref: refs/heads/none", "ref: ../../../etc/passwd", "\0", "x" * 40])
def test_a_damaged_checkout_has_none(tmp_path: Path, head: str) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text(head)
    assert git.commit(tmp_path) is None
