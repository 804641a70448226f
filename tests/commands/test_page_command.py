"""`ganlab page RUN`: the page of a run, once or while it goes on."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from ganlab import cli
from ganlab.reports import run_page
from ganlab.runs import following, run_folder


def is_followed(path: Path) -> bool:
    return "data-refresh" in path.read_text(encoding="utf-8")


def test_the_page_of_a_finished_run_is_written_once(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.dispatch(["page", str(copied), "--watch"]) == 0
    assert capsys.readouterr().out.count("to look at: ") == 1
    path = copied / run_page.FILE
    assert not is_followed(path)
    assert "finished, 4 iterations" in path.read_text(encoding="utf-8")


def test_a_run_that_goes_on_is_followed_until_it_ends(copied: Path) -> None:
    path = copied / run_page.FILE
    lock = FileLock(copied / run_folder.LOCK)  # as the process that trains has it
    with lock:
        pages = following.pages(copied, every_seconds=1)
        assert is_followed(next(pages))
        before = path.stat().st_mtime_ns
        ended = threading.Thread(target=lambda: list(pages))
        ended.start()
        end = time.monotonic() + 60
        while path.stat().st_mtime_ns == before:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert is_followed(path)
        assert "running, 4 iterations" in path.read_text(encoding="utf-8")
    ended.join(60)
    assert not is_followed(path)
    assert "finished, 4 iterations" in path.read_text(encoding="utf-8")


def test_a_lock_that_a_killed_process_left_is_no_run(copied: Path) -> None:
    (copied / run_folder.LOCK).touch()
    assert not following.is_running(copied)


def test_a_folder_that_is_no_run_has_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["page", str(tmp_path)])
    assert ended.value.code == 2
    assert "so it is no run folder" in capsys.readouterr().err
