"""Data sets: images by index, with or without a class label each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from PIL import Image

Picture = Image.Image | np.ndarray


class Dataset(ABC):
    """A finite set of images in a fixed order; a component of the group ``ganlab.datasets``.

    The constructor's signature is the configuration (``data.path``, ...), so it takes plain types. It
    raises ``GanlabError`` for what is wrong with the user's files, in one sentence that names the
    override key, and ``ValueError`` for an option out of range.

    A set hands images over as they are. Cropping, resizing and colour conversion are the work of
    `ganlab.data.prepare`, and the same for every set.
    """

    labels: np.ndarray | None = None
    """Class of each image, int64 ``(N,)`` in ``[0, num_classes)``; None where there are no classes."""

    class_names: tuple[str, ...] = ()
    """One name a class, in the order of the labels; empty where there are no classes."""

    native_size: tuple[int, int] | None = None
    """(height, width) of the images as they are stored; None where they differ or it is not known."""

    native_channels: int = 3
    """1 where the images are grey, 3 where any of them may be in colour."""

    held_out: float = 0.0
    """Share of the images that a run does not train on by default, see `ganlab.data.splits`."""

    steps: ClassVar[int] = 1000
    """Iterations of a run that sets neither ``trainer.max_steps`` nor ``run.max_kimg``."""

    license: ClassVar[str | None] = None
    """Licence of the images as the Hub writes it, such as ``cc-by-4.0``; None: not known."""

    protocol: ClassVar[str] = "fast"
    """The protocol that scores it, where none has the name of the set."""

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 where there are none."""
        return len(self.class_names)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def image(self, index: int) -> Picture:
        """The image at ``index``: a PIL image of any size and mode, or uint8 ``(H, W)`` or ``(H, W, C)``.

        Called from several threads at once. An image that cannot be read raises; it may also be
        returned undecoded (as ``PIL.Image.open`` does) and fail when it is loaded.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a text that changes whenever an image or the order changes: the key of packed copies of the set.

        It should be cheap compared with decoding (names, sizes, times, checksums that are stored anyway) and
        must not miss a change: a stale packed copy would be trained on silently.
        """

    def name(self, index: int) -> str:
        """Return the name of the image at ``index`` for messages."""
        return f"image {index}"
