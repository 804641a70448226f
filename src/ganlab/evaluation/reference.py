"""Summaries of real images: from the cache, checked when they are read, or from a file of statistics."""

from __future__ import annotations

import hashlib
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganlab.contracts.metric import Tensors
from ganlab.core import files
from ganlab.core.errors import GanlabError

_CHECKSUM = "checksum"
_COUNT = 10**6  # of statistics that do not say of how many images they are


class Cache:
    """Summaries on disk, a file each, by a key of everything that they depend on.

    A file is written to a temporary name and renamed. One whose content does not match its checksum counts as
    missing.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, *parts: Any) -> Path:
        key = hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
        return self.folder / f"{key}.npz"

    def read(self, path: Path) -> Tensors | None:
        """Return the summary, or None if it is not there or not whole."""
        try:
            # opened here: of a torn file numpy would leave it open
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except Exception:  # not there, or whatever a torn file makes zipfile and numpy raise
            return None
        checksum = arrays.pop(_CHECKSUM, None)
        if checksum is None or str(checksum) != _checksum(arrays):
            return None
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def write(self, path: Path, summary: Tensors) -> None:
        """Write whole or not at all; a cache that cannot be written costs time, not the evaluation."""
        arrays: dict[str, Any] = {name: tensor.cpu().numpy() for name, tensor in summary.items()}
        with suppress(OSError), files.whole(path, flush=True) as file:
            np.savez(file, **{**arrays, _CHECKSUM: np.array(_checksum(arrays))})


def given(path: str, feature_dim: int) -> tuple[Tensors, str]:
    """Read moments from an .npz file, and make a hash of them.

    It has ``mu`` and ``sigma`` (pytorch-fid, clean-fid, TTUR, StudioGAN) or ``mean`` and ``cov``.

    Raises:
        GanlabError: If it is none, or its features are of another extractor.
    """
    try:
        # numpy reads other files too
        with files.of_user(Path(os.path.expanduser(path))) as opened, zipfile.ZipFile(opened):
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
    except Exception as error:
        raise GanlabError(
            f"{path} cannot be read as .npz statistics ({' '.join(str(error).split())[:100]}); give a file with arrays "
            f"mu (D,) and sigma (D, D)."
        ) from error
    mean = next((arrays[name] for name in ("mu", "mean", "m", "moments_mean") if name in arrays), None)
    sigma = next((arrays[name] for name in ("sigma", "cov", "s", "covariance") if name in arrays), None)
    if mean is None or sigma is None:
        raise GanlabError(f"{path} holds {', '.join(arrays) or 'nothing'}, and no mu and sigma: no statistics of FID.")
    mean = mean.reshape(-1)
    if mean.dtype.kind not in "iuf" or sigma.dtype.kind not in "iuf":
        raise GanlabError(
            f"{path} holds mu and sigma of type {mean.dtype} and {sigma.dtype}: they must be real numbers."
        )
    mean, sigma = mean.astype(np.float64), sigma.astype(np.float64)
    if sigma.shape != (len(mean), len(mean)):
        raise GanlabError(f"{path}: mu has {len(mean)} numbers and sigma the shape {sigma.shape}; they do not match.")
    if len(mean) != feature_dim:
        raise GanlabError(
            f"{path} holds statistics of {len(mean)} features, and this extractor has {feature_dim}: they are of "
            f"another extractor; choose the one that made them with features=NAME."
        )
    if not (np.isfinite(mean).all() and np.isfinite(sigma).all()):
        raise GanlabError(f"{path} holds NaN or infinite statistics; make them again.")
    if not np.allclose(sigma, sigma.T, rtol=1e-3, atol=1e-6 * np.abs(sigma).max()) or sigma.diagonal().min() < 0:
        raise GanlabError(
            f"{path}: sigma is no covariance, which is symmetric and has no negative variance; make it again."
        )
    number = np.asarray(arrays.get("n", arrays.get("count", _COUNT)))
    count = float(number.reshape(-1)[0]) if number.size == 1 and number.dtype.kind in "iuf" else float(_COUNT)
    count = count if count >= 2 else float(_COUNT)
    moments = {
        "count": torch.tensor([count], dtype=torch.float64),
        "mean": torch.from_numpy(mean)[None],
        "scatter": torch.from_numpy((sigma + sigma.T) / 2)[None] * (count - 1),
    }
    return moments, _checksum({"mean": mean, "sigma": sigma})


def _checksum(arrays: dict[str, Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)  # no copy
    return digest.hexdigest()
