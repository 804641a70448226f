"""A zip archive of images."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

from ganlab.core.errors import GanlabError
from ganlab.core.ranges import FilledPath
from ganlab.data.files import ImageFiles


class Zip(ImageFiles):
    """The images of a zip archive, stored or compressed, read without unpacking.

    StyleGAN's layout, with labels in ``dataset.json``, or any archive of images with or without class
    folders; see `Folder` for classes.

    Args:
        path: The archive.
        labels: ``auto``: dataset.json if there is one, else class folders if there are any, else none.
            ``json``, ``folders`` and ``none`` insist.

    Raises:
        GanlabError: If there is no such archive, it is damaged, has no image, or its labels do not match.
        ValueError: If ``labels`` is none of these.
    """

    def __init__(self, path: FilledPath, labels: str = "auto") -> None:
        file = Path(os.path.expanduser(path))
        if not os.path.exists(file):
            raise GanlabError(f"There is no file {path}; set data.path to a zip archive of images.")
        if os.path.isdir(file):
            raise GanlabError(f"{path} is a folder; set data=folder to read it, or data.path to a zip archive.")
        if not os.path.isfile(file):
            raise GanlabError(f"{path} is no plain file; set data.path to a zip archive of images.")
        try:
            self._archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise GanlabError(
                f"{path} is no whole zip archive ({error}); it may have been cut off: copy or download it again."
            ) from error
        except OSError as error:
            raise GanlabError(f"{path} cannot be read ({error.strerror}); correct data.path.") from error
        names = (info.filename for info in self._archive.infolist() if not info.is_dir())
        super().__init__(path, names, labels, self._archive.read)

    def fingerprint(self) -> str:
        """Names, sizes and checksums, as the archive's directory has them."""
        digest = hashlib.blake2b(digest_size=16)
        for name in self._names:
            info = self._archive.getinfo(name)
            digest.update(f"{name}\0{info.file_size}\0{info.CRC}\n".encode(errors="surrogateescape"))
        return f"zip {digest.hexdigest()}"
