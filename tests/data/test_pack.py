"""A pack is made once, whole or not at all, whatever happens to the processes that want it."""

from __future__ import annotations

import errno
import io
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import pytest
from pictures import Counting
from support import server

from ganlab.core.errors import GanlabError
from ganlab.data import pack as module
from ganlab.data.decode import decode
from ganlab.data.pack import Pack, PackFile

COUNT = 400


def place(cache: Path, source: Counting, size: int = 8) -> PackFile:
    return PackFile(cache, source.fingerprint(), (1, size, size), len(source))


def pack(cache: Path, source: Counting, size: int = 8) -> Pack:
    return place(cache, source, size).open_or_make(decode(source, (size, size), 1, 0), "packing")


def assert_good(packed: Pack, count: int = COUNT) -> None:
    assert packed.pixels.shape == (count, 1, 8, 8)
    assert (packed.pixels == (np.arange(count) % 251).reshape(-1, 1, 1, 1)).all()


class Packer:
    """A process that packs 400 images, and says what came of it.

    Args:
        stop: The image at which it says so and waits for ever.
        pause: Seconds before each image.
    """

    def __init__(self, cache: Path, log: Path, stop: int, pause: float) -> None:
        context = server.context()
        self._answers, answers = context.Pipe(duplex=False)
        self._messages, messages = context.Pipe(duplex=False)
        self.process = context.Process(target=_pack_slowly, args=(cache, log, stop, pause, answers, messages))
        self.process.start()

    def answer(self) -> Any:
        """Return "reached", or the number of images and the sum of their pixels."""
        assert self._answers.poll(60), "it says nothing"
        return self._answers.recv()

    def message(self) -> str:
        """Return the next text that it prints for the user."""
        assert self._messages.poll(60), "it prints nothing"
        return str(self._messages.recv())

    def kill(self) -> None:
        self.process.kill()
        self.process.join(10)


class Printed(io.TextIOBase):
    """A stream whose texts go through a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def write(self, text: str) -> int:
        self.pipe.send(text)
        return len(text)


def _pack_slowly(cache: Path, log: Path, stop: int, pause: float, answers: Connection, messages: Connection) -> None:
    class Slow(Counting):
        def image(self, index: int) -> np.ndarray:
            if index == stop:
                answers.send("reached")
                time.sleep(1000)
            time.sleep(pause)
            return super().image(index)

    sys.stderr = Printed(messages)
    packed = pack(cache, Slow(COUNT, log=log))
    answers.send((len(packed.pixels), int(packed.pixels.astype(int).sum())))


WHOLE = (COUNT, sum(i % 251 for i in range(COUNT)) * 64)


class Start(Protocol):
    """The fixture `start`: a process that packs."""

    def __call__(self, cache: Path, log: Path, stop: int = -1, pause: float = 0.0) -> Packer: ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes that pack, and ends them with the test."""
    started: list[Packer] = []

    def call(cache: Path, log: Path, stop: int = -1, pause: float = 0.0) -> Packer:
        started.append(Packer(cache, log, stop, pause))
        return started[-1]

    yield call
    for packer in started:
        packer.kill()


def test_a_killed_packer_leaves_nothing_that_is_taken_for_good(tmp_path: Path, start: Start) -> None:
    cache, log = tmp_path / "cache", tmp_path / "log"
    process = start(cache, log, stop=300)
    assert process.answer() == "reached"
    partials = list(cache.glob(".*.part"))
    assert len(partials) == 1
    assert place(cache, Counting(COUNT)).open() is None
    process.kill()
    assert partials[0].exists()
    assert_good(pack(cache, Counting(COUNT, log=log)))
    assert log.stat().st_size == 300 + COUNT
    assert not list(cache.glob(".*.part"))


def test_two_processes_at_once_pack_once(tmp_path: Path, start: Start) -> None:
    cache, log = tmp_path / "cache", tmp_path / "log"
    processes = [start(cache, log, pause=0.001) for _ in range(2)]
    assert [process.answer() for process in processes] == [WHOLE, WHOLE]
    assert log.stat().st_size == COUNT
    assert len(list(cache.glob("*.pack"))) == 1
    assert not list(cache.glob(".*.part"))
    assert_good(pack(cache, Counting(COUNT)))


def test_waiting_for_another_process_prints_a_line(tmp_path: Path, start: Start) -> None:
    cache, log = tmp_path / "cache", tmp_path / "log"
    process = start(cache, log, stop=300)
    assert process.answer() == "reached"
    other = start(cache, log)
    assert "another process is packing; waiting for it" in other.message()
    process.kill()
    assert other.answer() == WHOLE


def test_what_killed_packers_left_for_other_sets_is_cleaned_up_unless_they_live(tmp_path: Path, start: Start) -> None:
    cache, log = tmp_path / "cache", tmp_path / "log"
    process = start(cache, log, stop=300)
    assert process.answer() == "reached"
    pack(cache, Counting(7))
    assert len(list(cache.glob(".*.part"))) == 1  # of a process that is at work
    process.kill()
    pack(cache, Counting(8))
    assert not list(cache.glob(".*.part"))


@pytest.mark.parametrize("change", ["count", "content", "size", "channels"])
def test_the_key_changes_with_contents_and_options(tmp_path: Path, change: str) -> None:
    here = place(tmp_path, Counting(10))
    there = {
        "count": place(tmp_path, Counting(11)),
        "content": place(tmp_path, Counting(10, bad=(1,))),
        "size": place(tmp_path, Counting(10), size=16),
        "channels": PackFile(tmp_path, Counting(10).fingerprint(), (3, 8, 8), 10),
    }[change]
    assert here.path != there.path
    assert here.path == place(tmp_path, Counting(10)).path


def test_a_pack_larger_than_memory_can_be_opened(tmp_path: Path) -> None:
    """Twice the memory, in a file that takes no space on the disk: mapped plainly, Linux answers ENOMEM."""
    count = 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    file = PackFile(tmp_path, "large", (1, 1024, 1024), count)
    with file.path.open("wb") as sparse:
        sparse.truncate(count * 2**20)
        sparse.seek(count * 2**20)
        file._write_description(sparse, count, [])
    file._remember_checked()  # zeros without end are not to be read
    packed = file.open()
    assert packed is not None
    assert packed.pixels.shape == (count, 1, 1024, 1024)
    packed.pixels[count - 1, 0, 0, 0] = 1


@pytest.mark.parametrize("damage", ["empty", "half", "a byte short", "a byte long", "description", "another set's"])
def test_a_damaged_pack_is_made_again(tmp_path: Path, damage: str) -> None:
    source = Counting(COUNT, log=tmp_path / "log")
    path = pack(tmp_path, source).path
    whole = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "half": whole[: len(whole) // 2],
            "a byte short": whole[1:],
            "a byte long": b"\0" + whole,
            "description": whole[:-40] + bytes(24) + whole[-16:],
            "another set's": pack(tmp_path, Counting(COUNT, bad=(0,))).path.read_bytes(),
        }[damage]
    )
    assert place(tmp_path, source).open() is None
    assert_good(pack(tmp_path, source))
    assert (tmp_path / "log").stat().st_size == 2 * COUNT


def alter(path: Path, at: int, keep_time: bool = False) -> None:
    """Flip a bit of a file in its place."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("at", [0, COUNT * 32, COUNT * 64 - 1])
@pytest.mark.parametrize("keep_time", [False, True])
def test_pixels_that_were_altered_by_a_bit_are_packed_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, at: int, keep_time: bool
) -> None:
    monkeypatch.setattr("ganlab.data.pack._BLOCK_BYTES", 1000)
    source = Counting(COUNT, log=tmp_path / "log")
    path = pack(tmp_path, source).path
    alter(path, at, keep_time)
    assert_good(pack(tmp_path, source))
    assert capsys.readouterr().err == f"{path} is not as it was packed: packing its images anew.\n"
    assert_good(pack(tmp_path, source))
    assert capsys.readouterr().err == ""
    assert (tmp_path / "log").stat().st_size == 2 * COUNT


def test_pixels_that_changed_on_the_disk_by_themselves_are_noticed_within_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a change leaves no trace in the file system."""
    source = Counting(COUNT)
    file = place(tmp_path, source)
    path = pack(tmp_path, source).path
    alter(path, 5)
    file._remember_checked()
    assert file.open() is not None
    now = time.time()
    monkeypatch.setattr("ganlab.data.pack.time", SimpleNamespace(time=lambda: now + 7 * 24 * 3600 + 1))
    assert file.open() is None


def test_a_pack_is_read_once_and_not_at_each_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Counting(COUNT)
    pack(tmp_path, source)
    place(tmp_path, source)._checked.unlink()
    calls: list[str] = []
    compare = module._as_packed

    def counted(path: Path, count: int, checksums: Sequence[int], images: int) -> bool:
        calls.append(path.name)
        return compare(path, count, checksums, images)

    monkeypatch.setattr(module, "_as_packed", counted)
    for _ in range(3):
        assert_good(pack(tmp_path, source))
    assert len(calls) == 1


def test_two_processes_that_find_an_altered_pack_make_it_once(tmp_path: Path, start: Start) -> None:
    cache, log = tmp_path / "cache", tmp_path / "log"
    alter(pack(cache, Counting(COUNT)).path, 100)
    processes = [start(cache, log, pause=0.001) for _ in range(2)]
    assert [process.answer() for process in processes] == [WHOLE, WHOLE]
    assert log.stat().st_size == COUNT


def test_a_pack_is_used_from_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Counting(COUNT)
    pack(tmp_path, source)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("ganlab.data.pack.FileLock", refuse)
    monkeypatch.setattr("ganlab.data.pack.files.whole", refuse)
    place(tmp_path, source)._checked.unlink()
    assert_good(pack(tmp_path, source))
    with pytest.raises(
        GanlabError, match=r"cannot be written \(Read-only file system\); set the environment variable GANLAB_CACHE"
    ):
        pack(tmp_path, Counting(3))


def test_a_cache_below_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GanlabError, match=r"The cache .* cannot be written \(Not a directory\)"):
        pack(tmp_path / "file" / "packs", Counting(3))


def test_a_disk_that_fills_up_leaves_no_partial_file(tmp_path: Path) -> None:
    """A limit on the size of a file plays the full disk: the system refuses to write on, with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(GanlabError, match=r"is full while packing .*GANLAB_CACHE"):
            pack(tmp_path, Counting(COUNT))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [*tmp_path.glob(".*.part"), *tmp_path.glob("*.pack")]
    assert_good(pack(tmp_path, Counting(COUNT)))


def test_a_disk_that_is_too_small_is_noticed_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(GanlabError, match=r"is full while packing \(.* GiB are needed and .* GiB are free\)"):
        pack(tmp_path, Counting(COUNT, log=tmp_path / "log"))
    assert not (tmp_path / "log").exists()


def test_ctrl_c_leaves_no_partial_file(tmp_path: Path) -> None:
    class Interrupted(Counting):
        def image(self, index: int) -> np.ndarray:
            if index == 300:
                raise KeyboardInterrupt
            return super().image(index)

    with pytest.raises(KeyboardInterrupt):
        pack(tmp_path, Interrupted(COUNT))
    assert not [*tmp_path.glob(".*.part"), *tmp_path.glob("*.pack")]
