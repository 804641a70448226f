"""A folder of images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.core.ranges import FilledPath
from ganlab.data.files import ImageFiles
from ganlab.data.headers import sample

_HEAD_BYTES = 65536


class Folder(ImageFiles):
    """The images of a folder and its subfolders, of any size, mode and format that Pillow reads.

    The class of an image is its first-level folder, at any depth below it; classes are in the order
    of their names, by number where all names are numbers. A folder that holds everything is looked
    into, links are followed, hidden files are left out.

    Args:
        path: The folder.
        labels: ``auto``: dataset.json (as in StyleGAN's layout) if there is one, else class folders if
            there are any, else none. ``json``, ``folders`` and ``none`` insist.

    Raises:
        GanlabError: If there is no such folder, no image in it, or its labels do not match.
        ValueError: If ``labels`` is none of these.
    """

    def __init__(self, path: FilledPath, labels: str = "auto") -> None:
        self._root = Path(os.path.expanduser(path))
        if not os.path.exists(self._root):
            raise GanlabError(f"There is no folder {path}; set data.path to a folder of images.")
        if not os.path.isdir(self._root):
            raise GanlabError(f"{path} is a file; set data.path to a folder of images, or data=zip to read an archive.")
        super().__init__(path, _walk(self._root), labels, lambda name: _contents(self._root / name))

    def fingerprint(self) -> str:
        """Names, sizes and times of all files, and how a sample of them begins.

        Times alone would miss a set that is replaced by another one from an archive with fixed times.
        """
        digest = hashlib.blake2b(digest_size=16)
        for name in self._names:
            digest.update(f"{name}\0{_state(self._root / name)}\n".encode(errors="surrogateescape"))
        for index in sample(len(self)):
            digest.update(_head(self._root / self._names[index]))
        return f"folder {digest.hexdigest()}"


def _state(file: Path) -> str:
    try:
        status = file.stat()
    except OSError:  # a link to nowhere; named with the other undecodable images
        return "unreadable"
    return f"{status.st_size}\0{status.st_mtime_ns}"


def _contents(path: Path) -> bytes:
    with files.of_user(path) as file:
        return file.read()


def _head(path: Path) -> bytes:
    try:
        with files.of_user(path) as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b"unreadable"


def _walk(root: Path, inside: str = "", above: tuple[tuple[int, int], ...] = ()) -> Iterator[str]:
    """Relative names of all files; folders below themselves, which links can make, are entered once."""
    folder = root / inside
    try:
        status = folder.stat()
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        with os.scandir(folder) as entries:
            # os.walk would leave out, silently, what it may not read.
            for entry in entries:
                if entry.is_dir():
                    yield from _walk(root, f"{inside}{entry.name}/", (*above, here))
                else:
                    yield inside + entry.name
    except OSError as error:
        raise GanlabError(f"{folder} cannot be read ({error.strerror}); correct permissions or data.path.") from error
