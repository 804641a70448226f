"""Files that are written whole or not at all, and lines that are appended whole; never through a link.

A run folder may come from somebody else, and a link in it may point at any file of the reader's. So a temporary file
is always a new one, and a file that is read or appended to is opened only if it is a plain file itself.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shlex
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from ganlab.core.errors import GanlabError, shown

# Windows has neither; there only an administrator can make a link.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer must not block
_PART = re.compile(r"\..+\.[0-9a-f]{12}\.part")


def typed(path: str | os.PathLike[str]) -> str:
    """Return a path as one types it into a shell: from the current folder if it lies inside, in quotes if need be."""
    absolute = Path(path).absolute()
    with suppress(OSError):  # the current folder was removed
        if absolute.is_relative_to(here := Path.cwd()):
            absolute = absolute.relative_to(here)
    return shlex.quote(str(absolute))


def named(path: object, what: str) -> Path:
    """Return the path that a caller names; ``~`` is the home folder.

    Args:
        what: What it should name, for messages, such as ``a run folder``.

    Raises:
        GanlabError: If it is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise GanlabError(f"{what[:1].upper()}{what[1:]} is named by its path, and {shown(path)} is none.")
    if "\0" in str(path):
        raise GanlabError(f"{str(path)!r} holds a null character, which no name of a file has: leave it out.")
    return Path(os.path.expanduser(path))


@contextmanager
def whole(path: Path, flush: bool = False) -> Iterator[BinaryIO]:
    """Open a new file that gets the name ``path`` when the block ends without an error; make missing folders.

    Args:
        flush: Write it to the disk before the renaming, and the renaming before this returns.

    Raises:
        OSError: If it cannot be written; an older file ``path`` stays as it was.
    """
    if not path.name:  # ".", or the root
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with temporary.open("xb") as file:
            yield file
            if flush:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if flush:
            _flush_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def for_torch(file: BinaryIO) -> Iterator[IO[bytes]]:
    """Give torch a file to write, whose first error is raised when the block ends.

    torch turns errors of a file into a RuntimeError without an errno, or reports an unexpected position.

    Raises:
        OSError: If it could not be written.
    """
    target = _RemembersFailure(file)
    yield cast(IO[bytes], target)
    target.raise_failure()


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all.

    Raises:
        GanlabError: If it cannot be written.
    """
    try:
        with whole(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise unwritable(path, error) from error


def append(path: Path, line: bytes) -> None:
    """Append a line, whole or not at all; a torn line before it, of a killed process, is ended first.

    Raises:
        OSError: If it cannot be written, or ``path`` is a link.
    """
    with opened(path, "ab+") as file:
        before = file.seek(0, os.SEEK_END)
        if before and line:
            file.seek(before - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        try:
            rest = memoryview(line)
            while rest:  # the write that follows a short one says what is in the way
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(before)
            raise


def keep_lines(path: Path, wanted: Callable[[bytes], bool]) -> None:
    """Drop the lines of a file that are not wanted; do nothing if there is no file.

    Raises:
        OSError: If it cannot be written, or ``path`` is a link.
    """
    try:
        old = read(path)
    except FileNotFoundError:
        return
    kept = b"".join(line.rstrip(b"\n") + b"\n" for line in old.splitlines(keepends=True) if wanted(line))
    if old.startswith(kept):  # the usual case, and the one that needs no space on the disk
        with opened(path, "ab+") as file:
            file.truncate(len(kept))
    else:
        with whole(path) as file:
            file.write(kept)


def read(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        OSError: If it cannot be read, or ``path`` is a link.
    """
    with opened(path, "rb") as file:
        content: bytes = file.read()
    return content


def opened(path: Path, mode: str) -> BinaryIO:
    """Open a plain file, not a link, a pipe or a device; without a buffer if it is written.

    Raises:
        OSError: If it cannot be opened, or is no plain file.
    """
    buffering = -1 if mode == "rb" else 0
    file = cast(BinaryIO, open(path, mode, buffering, opener=_open_no_link))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return file


def of_user(path: Path) -> BinaryIO:
    """Open a file that the user names for reading; it may be a link to one.

    Raises:
        OSError: If it cannot be opened, or is a pipe, a socket or a device, on which reading may never end.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return file


def damaged_member(file: BinaryIO) -> str | None:
    """Return the first part of a zip archive that does not match its checksum; torch checks none of its own.

    Raises:
        zipfile.BadZipFile: If it is no archive, or no whole one.
    """
    with zipfile.ZipFile(file) as archive:
        found = archive.testzip()
    file.seek(0)
    return found


def clean(folder: Path) -> None:
    """Remove the temporary files of interrupted writes from a folder."""
    for path in folder.glob(".*.part"):
        if is_part(path.name):
            path.unlink(missing_ok=True)


def is_part(name: str) -> bool:
    """Tell if a name is that of a temporary file of `whole`."""
    return _PART.fullmatch(name) is not None


def is_full(error: OSError) -> bool:
    """Tell if there is no room for a file: on the disk, in a quota, or under a limit of its size."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def unwritable(path: Path, error: OSError) -> GanlabError:
    """The sentence for a file that cannot be written."""
    return GanlabError(f"{path} cannot be written: {error.strerror or error}.")


def refuse_unwritable(path: Path) -> None:
    """Refuse a file that `whole` could not write, as far as that is seen beforehand, before work that takes long.

    Raises:
        GanlabError: If it is a folder, or the nearest folder above it that exists is none, or takes no files.
    """
    if path.is_dir():
        raise unwritable(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise unwritable(path, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    if not os.access(above, os.W_OK):
        raise unwritable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def unreadable(path: Path, error: OSError) -> GanlabError:
    """The sentence for a file that cannot be read."""
    return GanlabError(f"{path} cannot be read: {error.strerror or error}.")


class _RemembersFailure:
    """A file that keeps its first error instead of raising it, and writes nothing more after it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._failure: OSError | None = None

    def write(self, data: Any) -> int:
        self._try(lambda: self._file.write(data))
        return len(data)

    def flush(self) -> None:
        self._try(self._file.flush)

    def _try(self, act: Callable[[], Any]) -> None:
        if self._failure is None:
            try:
                act()
            except OSError as error:
                self._failure = error

    def raise_failure(self) -> None:
        """Raise the failure, if there was one."""
        if self._failure is not None:
            raise self._failure


def _open_no_link(path: Any, flags: int) -> int:
    try:
        return os.open(path, flags | _NO_LINK, 0o666)
    except OSError as error:
        if os.path.islink(path):
            raise OSError(error.errno, "it is a link, and no file of its own", str(path)) from error
        raise


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
