"""Lines fit the terminal, and are whole where there is none."""

import os
import sys

import pytest

from ganlab.core import terminal

LINE = "data: digits, 1,797 grey images of 8x8, trained at 8x8, 448 held out; 10 classes of 174 to 183"


class Terminal:
    def isatty(self) -> bool:
        return True


def test_a_long_line_is_broken_at_spaces_and_indented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    first, second = terminal.folded(LINE).split("\n")
    assert len(first) <= 80
    assert second.startswith("    ")
    assert f"{first} {second.strip()}" == LINE
    assert terminal.folded("fid    58.1   8.0\nshort") == "fid    58.1   8.0\nshort"
    row = f"fid  {'58.1 [50.9, 65.2]':>30}  {'8.0':>30}  lower is better"
    assert terminal.folded(row) == row.replace("  lower", "\n    lower")
    assert terminal.columns(100) == 80
    assert terminal.columns(60) == 60


@pytest.mark.parametrize("columns", ["0", "1", "30"])
def test_no_terminal_is_too_narrow(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(os, "get_terminal_size", lambda *unused: os.terminal_size((int(columns), 1)))
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal.columns(100) >= 40
    assert max(map(len, terminal.folded(LINE).split("\n"))) <= 80


def test_a_file_gets_whole_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert terminal.folded(LINE) == LINE
    assert terminal.columns(100) == 100
