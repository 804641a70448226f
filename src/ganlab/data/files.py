"""Data sets whose images are files, in a folder or in an archive."""

from __future__ import annotations

import io
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable
from functools import cached_property

from PIL import Image

from ganlab.contracts.dataset import Dataset
from ganlab.core.errors import GanlabError, one_of
from ganlab.data import headers
from ganlab.data.labels import DESCRIPTION, SOURCES, common_folder, find_labels

_IMAGE = re.compile(
    r"\.(a?png|jpe?g|jpe|jfif|webp|avif|gif|bmp|dib|tiff?|p[bgnp]m|tga|jp2|j2k|qoi|sgi|pcx|ico)$", re.IGNORECASE
)


class ImageFiles(Dataset):
    """Images in the order of their names, which are relative paths with ``/``.

    Hidden files and files whose names do not end like an image's are left out.

    Args:
        where: The set's path, for messages.
        names: All files there are.
        labels: Where labels come from, see `find_labels`.
        read: Gives a file's contents.
    """

    def __init__(self, where: str, names: Iterable[str], labels: str, read: Callable[[str], bytes]) -> None:
        one_of(labels, SOURCES, "labels")
        visible = sorted({name for name in names if not _hidden(name)})
        self._names = [name for name in visible if _IMAGE.search(name)]
        self._read = read
        if not self._names:
            raise GanlabError(
                f"{where} has no images (.png, .jpg, .webp, ...) among its {len(visible):,} files; "
                "point data.path at one that has."
            )
        description = _find_description(self._names, set(visible)) if labels in ("auto", "json") else None
        contents = self._read_description(where, description) if description else b""
        self.labels, self.class_names = find_labels(
            where, self._names, labels, (description, contents) if description else None
        )

    def _read_description(self, where: str, name: str) -> bytes:
        try:
            return self._read(name)
        except Exception as error:  # as damaged archives have it
            raise GanlabError(
                f"{name} of {where} cannot be read ({error}); replace it, or set data.labels to folders or none."
            ) from error

    @abstractmethod
    def fingerprint(self) -> str: ...

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        # Names that are no UTF-8 must not break the message that they are in.
        return self._names[index].encode(errors="replace").decode()

    def image(self, index: int) -> Image.Image:
        # From memory: a picture that keeps reading from a file would leave the file open.
        return Image.open(io.BytesIO(self._read(self._names[index])))

    @cached_property
    def native_size(self) -> tuple[int, int] | None:  # type: ignore[override]
        """The size of a sample of the images, where they agree."""
        sizes = {size for size, _ in self._headers}
        return sizes.pop() if len(sizes) == 1 else None

    @cached_property
    def native_channels(self) -> int:  # type: ignore[override]
        """3 if any of a sample of the images is in colour."""
        return max((channels for _, channels in self._headers), default=3)

    @cached_property
    def _headers(self) -> list[headers.Header]:
        return headers.headers(self)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _find_description(names: list[str], visible: set[str]) -> str | None:
    """dataset.json in the first folder, from the top, of those that hold every image."""
    folder = ""
    while folder + DESCRIPTION not in visible:
        rest = common_folder(names)[len(folder) :]
        if not rest:
            return None
        folder += rest[: rest.index("/") + 1]
    return folder + DESCRIPTION
