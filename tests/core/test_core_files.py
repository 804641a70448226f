"""Files are written whole or not at all, and never through a link."""

import os
import secrets
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.disk import fill

from ganlab.core import files
from ganlab.core.errors import GanlabError

ROW = b'{"iteration": 1}\n'


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(GanlabError, match=r"config.yaml cannot be written: Is a directory"):
        files.write_text(tmp_path / "config.yaml", "text")
    (tmp_path / "old").write_text("old")
    with pytest.raises(KeyboardInterrupt), files.whole(tmp_path / "old") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert (tmp_path / "old").read_text() == "old"
    assert names(tmp_path) == ["config.yaml", "old"]


def test_the_folders_of_a_file_are_made_and_what_was_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "page.html"
    for text in ("one", "two"):
        with files.whole(path, flush=True) as file:
            file.write(text.encode())
    assert path.read_text() == "two"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_temporary_file_is_a_new_one_whatever_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run folder from somebody else may hold a link where a temporary file would be."""
    monkeypatch.setattr(secrets, "token_hex", lambda count: "0123456789ab")
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / ".page.html.0123456789ab.part").symlink_to(mine)
    with pytest.raises(GanlabError, match=r"page\.html cannot be written: File exists"):
        files.write_text(tmp_path / "page.html", "theirs")
    assert mine.read_text() == "mine"


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / "page.html").symlink_to(mine)
    files.write_text(tmp_path / "page.html", "page")
    assert mine.read_text() == "mine"
    assert (tmp_path / "page.html").read_text() == "page"


@pytest.mark.parametrize("act", [
    files.read,
    lambda path: files.append(path, ROW),
    lambda path: files.keep_lines(path, lambda line: False),
])  # fmt: skip
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_neither_read_nor_appended_to(tmp_path: Path, act: Callable[[Path], object], there: bool) -> None:
    mine, link = tmp_path / "mine", tmp_path / "metrics.jsonl"
    if there:
        mine.write_bytes(ROW)
    link.symlink_to(mine)
    with pytest.raises(OSError, match="it is a link, and no file of its own"):
        act(link)
    assert mine.exists() == there
    assert not there or mine.read_bytes() == ROW


@pytest.mark.parametrize("act", [files.read, lambda path: files.append(path, ROW)])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, act: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(OSError, match="it is no plain file"):
        act(tmp_path / "metrics.jsonl")


def test_a_line_after_a_torn_one_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    files.append(path, ROW)
    files.append(path, b"")
    path.write_bytes(path.read_bytes() + b"torn")
    files.append(path, ROW)
    assert path.read_bytes() == ROW + b"torn\n" + ROW


def test_lines_that_are_not_wanted_go(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    files.keep_lines(path, lambda line: True)
    assert not path.exists()
    path.write_bytes(b"1\n2\n3\n4")
    files.keep_lines(path, lambda line: line.strip() != b"2")
    assert path.read_bytes() == b"1\n3\n4\n"
    files.keep_lines(path, lambda line: line < b"3")
    assert path.read_bytes() == b"1\n"
    assert names(tmp_path) == ["lines"]


def test_only_temporary_files_of_ganlabs_own_are_cleaned_away(tmp_path: Path) -> None:
    for name in (".thesis.part", ".last.ckpt.0123456789ab.part", "last.ckpt", ".0123456789ab.part"):
        (tmp_path / name).touch()
    files.clean(tmp_path)
    assert names(tmp_path) == [".0123456789ab.part", ".thesis.part", "last.ckpt"]


def test_an_archive_with_another_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("numbers", b"12345678")
    with path.open("rb") as file:
        assert files.damaged_member(file) is None
        assert file.tell() == 0
    path.write_bytes(path.read_bytes().replace(b"12345678", b"12345679"))
    with path.open("rb") as file:
        assert files.damaged_member(file) == "numbers"


def test_a_line_is_appended_whole_or_not_at_all(small_disk: Path) -> None:
    path = small_disk / "metrics.jsonl"
    files.append(path, ROW)
    fill(small_disk)
    with pytest.raises(OSError, match="No space left"):
        files.append(path, b"x" * 100_000)
    assert path.read_bytes() == ROW
    os.unlink(small_disk / "ballast")
    files.append(path, ROW)
    assert path.read_bytes() == 2 * ROW


def test_a_path_is_shown_as_one_types_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "a"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert files.typed(inside / "runs/x") == files.typed("runs/x") == "runs/x"
    assert files.typed(inside / "my run") == "'my run'"
    assert files.typed(tmp_path / "b") == str(tmp_path / "b")
    inside.rmdir()
    assert files.typed(tmp_path / "b") == str(tmp_path / "b")


def test_a_place_that_takes_no_file_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, message in ((tmp_path, "Is a directory"), (tmp_path / "file" / "deep" / "x", "Not a directory")):
        with pytest.raises(GanlabError, match=f"cannot be written: {message}"):
            files.refuse_unwritable(path)
    files.refuse_unwritable(tmp_path / "new" / "x")
    files.refuse_unwritable(tmp_path / "file")  # it is replaced
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("path", [".", "/", ""])
def test_a_folder_without_a_name_is_no_file(path: str) -> None:
    """``out=.`` ended in a traceback."""
    with pytest.raises(GanlabError, match="cannot be written: Is a directory"):
        files.write_text(Path(path), "text")
