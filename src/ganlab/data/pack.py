"""A set's decoded images in one file of the cache, made once and mapped into memory.

The file is the pixels, image after image, then a JSON description, then the description's length and
checksum and a magic word. The process that holds the lock writes it under another name and renames it when
it is complete, so a file of the final name is whole; its size and description are checked all the same.

The pixels are compared with the checksums of their blocks when a pack is first opened, and again when
its file has changed or a week has passed, which a small file beside it remembers: 0.5 GiB a second were
measured on two cores that were busy otherwise, so 100 GiB take some three minutes, once.
"""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import shutil
import struct
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.data.decode import Chunk, Failure
from ganlab.data.progress import Progress

# Part of the key: raise it whenever the layout below or the pixels that `ganlab.data.pixels` makes change.
_VERSION = 2
_MAGIC = b"GANLABPK"
_END = struct.Struct("<II8s")
_BLOCK_BYTES = 16 * 2**20
_CHECKED_SECONDS = 7 * 24 * 3600
_RESERVE_BYTES = 64 * 2**20
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)  # Python 3.10 lacks the name


@dataclass(frozen=True)
class Pack:
    """An opened pack.

    Attributes:
        path: The file.
        pixels: uint8 ``(N, C, H, W)``, mapped; a write would change the memory and not the file.
        failures: The images of the set that are not in it.
    """

    path: Path
    pixels: np.ndarray
    failures: list[Failure]


@dataclass(frozen=True)
class PackFile:
    """The place in the cache for one set at one size.

    Args:
        folder: The folder of packs.
        fingerprint: The set's own, see `Dataset.fingerprint`.
        image_shape: (channels, height, width).
        total: Number of images in the set, undecodable ones included.
    """

    folder: Path
    fingerprint: str
    image_shape: tuple[int, int, int]
    total: int

    @property
    def key(self) -> str:
        what = json.dumps([_VERSION, self.fingerprint, self.total])
        channels, height, width = self.image_shape
        return f"{height}x{width}x{channels}-{hashlib.blake2b(what.encode(), digest_size=16).hexdigest()}"

    @property
    def path(self) -> Path:
        return self.folder / f"{self.key}.pack"

    def open(self, say: bool = True) -> Pack | None:
        """Return the pack; None where there is none, it is not whole, or its pixels have changed, which is printed."""
        try:
            with self.path.open("rb") as file:
                description = _read_description(file)
            shape = (int(description["count"]), *self.image_shape)
            if description["key"] != self.key or description["bytes"] != int(np.prod(shape)):
                return None
            failures = [Failure(*fields) for fields in description["failures"]]
            if shape[0] + len(failures) != self.total:
                return None
            if not self._is_checked():
                if not _as_packed(self.path, description["bytes"], description["checksums"], shape[0]):
                    if say:
                        print(f"{self.path} is not as it was packed: packing its images anew.", file=sys.stderr)
                    return None
                self._remember_checked()
        except (OSError, ValueError, KeyError, TypeError, struct.error):
            return None
        return Pack(self.path, _map(self.path, shape), failures)

    def open_or_make(self, chunks: Iterable[Chunk], what: str) -> Pack:
        """Return the pack. If need be one process makes it from ``chunks`` while the others wait.

        Raises:
            GanlabError: If the cache cannot be written, or the disk is full; no part of the pack stays.
        """
        pack = self.open()
        if pack is not None:
            return pack
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder / f"{self.key}.lock", f"another process is {what}; waiting for it"):
                pack = self.open(say=False)
                if pack is None:
                    _remove_stale(self.folder, self.key)
                    self._make(chunks, what)
                    self._remember_checked()  # they were taken from what was written
                    pack = self.open()
        except OSError as error:
            raise GanlabError(_explain(error, self.folder, what)) from error
        if pack is None:
            raise GanlabError(f"{self.path} was written and cannot be read back; is that disk sound?")
        return pack

    def _make(self, chunks: Iterable[Chunk], what: str) -> None:
        needed = self.total * int(np.prod(self.image_shape)) + _RESERVE_BYTES
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{_gib(needed)} are needed and {_gib(free)} are free")
        with files.whole(self.path, flush=True) as file, Progress(what, self.total) as progress:
            count, failures, checksums = 0, [], _Checksums()
            for chunk in chunks:
                file.write(chunk.pixels.data)
                checksums.update(chunk.pixels.data)
                count += len(chunk.pixels)
                failures += chunk.failures
                progress.update(chunk.total)
            self._write_description(file, count, failures, checksums.found)

    def _is_checked(self) -> bool:
        """Tell if the pixels were compared with their checksums not long ago, and the file has not changed since."""
        try:
            *state, then = json.loads(self._checked.read_bytes())
            return state == self._state() and bool(0 <= time.time() - then < _CHECKED_SECONDS)
        except (OSError, ValueError, TypeError):
            return False

    def _remember_checked(self) -> None:
        with (
            suppress(OSError),
            files.whole(self._checked) as file,
        ):  # a cache that cannot be written is read all the same
            file.write(json.dumps([*self._state(), time.time()]).encode())

    @property
    def _checked(self) -> Path:
        return self.folder / f"{self.key}.checked"

    def _state(self) -> list[int]:
        """Return the facts of a file that change with its content; the last one cannot be set back."""
        found = self.path.stat()
        return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]

    def _write_description(
        self, file: BinaryIO, count: int, failures: list[Failure], checksums: Sequence[int] = ()
    ) -> None:
        description = {
            "key": self.key,
            "fingerprint": self.fingerprint,
            "count": count,
            "bytes": file.tell(),
            "shape": ["image", "channel", "height", "width"],
            "checksums": list(checksums),
            "failures": [[failure.index, failure.name, failure.reason] for failure in failures],
        }
        encoded = json.dumps(description).encode()
        file.write(encoded)
        file.write(_END.pack(len(encoded), zlib.crc32(encoded), _MAGIC))


class _Checksums:
    """CRC-32 of each block of what is written, from one end to the other."""

    def __init__(self) -> None:
        self._filled = 0
        self.found: list[int] = []

    def update(self, data: memoryview) -> None:
        data = data.cast("B") if data.nbytes else memoryview(b"")  # a chunk without a sound image
        while len(data):
            if self._filled % _BLOCK_BYTES == 0:
                self.found.append(0)
            part = data[: _BLOCK_BYTES - self._filled % _BLOCK_BYTES]
            self.found[-1] = zlib.crc32(part, self.found[-1])
            self._filled += len(part)
            data = data[len(part) :]


def _as_packed(path: Path, count: int, checksums: Sequence[int], images: int) -> bool:
    """Compare the pixels of a pack, ``count`` bytes, with their checksums; several blocks at a time."""
    starts = range(0, count, _BLOCK_BYTES)
    if len(checksums) != len(starts):
        return False
    with path.open("rb") as file, ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:

        def checksum(start: int) -> int:
            return zlib.crc32(os.pread(file.fileno(), min(_BLOCK_BYTES, count - start), start))

        with Progress(f"checking {images:,} packed images", images) as progress:
            for start, found, expected in zip(starts, pool.map(checksum, starts), checksums, strict=True):
                if found != expected:
                    pool.shutdown(cancel_futures=True)
                    return False
                progress.update((start + _BLOCK_BYTES) * images // count - start * images // count)
    return True


def _map(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The beginning of the file as an array: copied on write, as torch wants writable memory and the file must stay.

    Linux refuses such a mapping when it is larger than memory, unless no memory is reserved for it.
    """
    if 0 in shape:
        return np.empty(shape, np.uint8)
    count = int(np.prod(shape))
    options = {"access": mmap.ACCESS_COPY} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE | _NORESERVE}
    try:
        with path.open("rb") as file:
            memory = mmap.mmap(file.fileno(), count, **options)
    except OSError as error:
        raise GanlabError(
            f"{path} cannot be mapped into memory ({error.strerror}); change vm.overcommit_memory=2 or ulimit -v, "
            "whichever is set, or raise data.memory_budget_mib."
        ) from error
    return np.frombuffer(memory, np.uint8).reshape(shape)


def _read_description(file: BinaryIO) -> dict[str, Any]:
    size = file.seek(0, os.SEEK_END)
    file.seek(-_END.size, os.SEEK_END)
    length, checksum, magic = _END.unpack(file.read(_END.size))
    if magic != _MAGIC or length > size:
        raise ValueError("no pack")
    file.seek(size - _END.size - length)
    encoded = file.read(length)
    if zlib.crc32(encoded) != checksum:
        raise ValueError("the description has changed")
    description: dict[str, Any] = json.loads(encoded)
    if description["bytes"] + length + _END.size != size:
        raise ValueError("not all pixels are there")
    return description


@contextmanager
def _locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock; the system frees it when its process ends."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{waiting} ({path.parent})", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove_stale(folder: Path, own_key: str) -> None:
    """Remove what killed processes left half-written: a partial file whose lock is free belongs to nobody."""
    for partial in folder.glob(".*.pack.*.part"):
        key = partial.name.split(".")[1]
        if key == own_key:  # whose lock we hold
            partial.unlink(missing_ok=True)
            continue
        try:
            with FileLock(folder / f"{key}.lock", timeout=0):
                partial.unlink(missing_ok=True)
        except (Timeout, OSError):
            continue


def _explain(error: OSError, folder: Path, what: str) -> str:
    other = "set the environment variable GANLAB_CACHE to a folder"
    if files.is_full(error):
        detail = f" ({error.strerror})" if error.strerror else ""
        return f"The disk of {folder} is full while {what}{detail}; free some space, or {other} on a larger disk."
    return f"The cache {folder} cannot be written ({error.strerror or error}); {other} that can."


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
