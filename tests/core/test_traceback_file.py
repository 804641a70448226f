"""An unexpected error ends in one line that names a file with the traceback."""

import os
from pathlib import Path

import pytest
from support.runs import TINY

from ganlab import cli
from ganlab.runs import session


def fails(*arguments: object) -> None:
    raise KeyError("nothing of the kind")


def main(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    return int(caught.value.code or 0), capsys.readouterr().err


def named(said: str) -> Path:
    """The file that a line about a bug names."""
    (line,) = said.splitlines()
    assert line.startswith("ganlab: This is a bug of ganlab's (KeyError); ")
    return Path(line.rpartition("traceback in ")[2].removesuffix("."))


def test_the_traceback_of_a_run_lies_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "Outcome", fails)
    code, said = main(capsys, "train", *TINY, "trainer.max_steps=1", f"run.dir={tmp_path / 'run'}")
    file = named("".join(line for line in said.splitlines(keepends=True) if line.startswith("ganlab:")))
    assert code == 1
    assert file.parent == tmp_path / "run"
    text = file.read_text()
    assert "KeyError: 'nothing of the kind'" in text
    assert f"run.dir={tmp_path / 'run'}" in text
    assert "GANLAB_RUN_FOLDER" not in os.environ


def test_without_a_run_it_lies_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("ganlab.cli.dispatch", fails)
    code, said = main(capsys, "list")
    assert code == 1
    assert named(said).parent == tmp_path
    assert "in fails" in named(said).read_text()


def test_of_several_ranks_the_first_to_fail_speaks_and_all_write_into_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ganlab.cli.dispatch", fails)
    monkeypatch.setenv("MASTER_PORT", "12345")
    monkeypatch.setenv("GANLAB_RUN_FOLDER", str(tmp_path))
    said = []
    for rank in ("1", "0"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        code, words = main(capsys, "train")
        assert code == 1
        said.append(words)
    assert said[1] == ""
    text = named(said[0]).read_text()
    assert ("rank 1" in text, "rank 0" in text) == (True, True)
    assert text.count("KeyError: ") == 2


def test_it_is_raised_where_a_traceback_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.cli.dispatch", fails)
    monkeypatch.setenv("GANLAB_TRACEBACK", "1")
    with pytest.raises(KeyError):
        cli.main(["list"])


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 TB")])
def test_too_little_memory_is_no_bug(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def short(words: object) -> int:
        raise error

    monkeypatch.setattr("ganlab.cli.dispatch", short)
    code, said = main(capsys, "train")
    assert code == 2
    assert said.startswith("ganlab: There is too little memory: ")
    assert said.count("\n") == 1
