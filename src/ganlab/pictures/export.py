"""Many samples for other programs, a batch at a time: a folder of numbered PNGs, or an .npz of arrays."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.data.progress import Progress
from ganlab.sampling import generation

BATCH = 64  # images made at a time, as in a grid
_SMALLEST_PNG = 67  # bytes of one pixel
MARK, MADE_BY = "samples.json", "ganlab sample"
_IMAGE = re.compile(r"\d{6,}\.png")
_CLASS = re.compile(r"\d+")


@dataclass
class Samples:
    """Samples that are made when they are asked for.

    Args:
        images: ``images(start, stop)``: float (N, C, H, W) in [-1, 1]; each depends on its number alone.
        labels: ``labels(start, stop)``: their classes, or None.
        count: How many.
        num_classes: 0: none.
        start: Number of the first one.
        about: What they are, JSON.
    """

    images: Callable[[int, int], Tensor]
    labels: Callable[[int, int], Sequence[int] | None]
    count: int
    num_classes: int = 0
    start: int = 0
    about: Mapping[str, Any] = field(default_factory=dict)

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield the numbers of the first image of each batch and of the one after its last."""
        end = self.start + self.count
        return ((at, min(at + BATCH, end)) for at in range(self.start, end, BATCH))

    def batches(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of a batch's first image, and uint8 (N, H, W, C), with progress on standard error."""
        with Progress("sampling", self.count) as progress:
            for start, stop in self.spans():
                pixels = generation.to_uint8(self.images(start, stop)).permute(0, 2, 3, 1)  # (N, H, W, C)
                yield start, pixels.contiguous().numpy()
                progress.update(stop - start)


def write_npz(samples: Samples, path: Path) -> None:
    """Write ``arr_0``, uint8 (N, H, W, C), and where there are classes ``arr_1``, int64 (N,): whole or not at all.

    The arrays are streamed into the archive, so that memory holds a batch whatever the number of images.

    Raises:
        GanlabError: If the disk has too little room.
        OSError: If it cannot be written.
    """
    with files.whole(path) as file, zipfile.ZipFile(file, "w") as archive:
        _write_pixels(archive, samples, path)
        if samples.num_classes:
            _write_labels(archive, samples)


def _write_pixels(archive: zipfile.ZipFile, samples: Samples, path: Path) -> None:
    with archive.open(zipfile.ZipInfo("arr_0.npy"), "w", force_zip64=True) as member:
        for start, pixels in samples.batches():
            if start == samples.start:
                _refuse_without_room(path, samples.count, pixels[0].nbytes)
                _begin(member, np.dtype(np.uint8), (samples.count, *pixels.shape[1:]))
            member.write(pixels.data)


def _write_labels(archive: zipfile.ZipFile, samples: Samples) -> None:
    with archive.open(zipfile.ZipInfo("arr_1.npy"), "w", force_zip64=True) as member:
        _begin(member, np.dtype("<i8"), (samples.count,))
        for start, stop in samples.spans():
            member.write(np.asarray(samples.labels(start, stop), dtype="<i8").tobytes())


def _begin(member: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, described)


def _refuse_without_room(path: Path, count: int, bytes_each: int) -> None:
    folder = next(parent for parent in path.absolute().parents if os.path.isdir(parent))
    needed, free = count * bytes_each, shutil.disk_usage(folder).free
    if needed > free:
        raise GanlabError(
            f"{count:,} images take {needed / 1e9:,.1f} GB, and {folder} has {free / 1e9:,.1f} GB free: give a "
            f"smaller count, or another out."
        )


def write_folder(samples: Samples, folder: Path) -> None:
    """Write ``000017.png`` and so on, and samples.json, which describes them and says whether all of them are there.

    Where there are classes each has a folder, which has its number for a name so that sorted folders give the labels.

    An interruption or a full disk leaves whole images, and says how many.

    Raises:
        GanlabError: If the folder has files that `ganlab sample` did not write.
        OSError: If it cannot be written.
    """
    old = _own_files(folder)
    _refuse_without_room(folder, samples.count, _SMALLEST_PNG)
    batches = samples.batches()
    first = next(batches)  # what cannot be made is refused before anything is touched
    _make_anew(folder, old)
    digits = max(6, len(str(samples.start + samples.count - 1)))
    of_class = len(str(max(0, samples.num_classes - 1)))
    done = 0
    _mark(folder, samples, complete=False)
    try:
        for start, pixels in itertools.chain([first], batches):
            labels = samples.labels(start, start + len(pixels)) if samples.num_classes else None
            for i, image in enumerate(pixels):
                inside = folder if labels is None else folder / f"{labels[i]:0{of_class}d}"
                channels_first = torch.from_numpy(image).permute(2, 0, 1)  # (C, H, W)
                generation.write_png(channels_first, inside / f"{start + i:0{digits}d}.png")
                done += 1
        _mark(folder, samples, complete=True)
    finally:
        if done < samples.count:
            print(f"{folder} is not complete: it has {done:,} of {samples.count:,} images.", file=sys.stderr)


def _mark(folder: Path, samples: Samples, complete: bool) -> None:
    content = {"made_by": MADE_BY, **samples.about, "count": samples.count, "start": samples.start}
    with files.whole(folder / MARK) as file:
        file.write(json.dumps({**content, "complete": complete}, indent=2).encode() + b"\n")


def _own_files(folder: Path) -> list[str]:
    """Return the images that an earlier command left in a folder, and then their class folders.

    Raises:
        GanlabError: If there is anything else in it.
    """
    if not os.path.exists(folder):
        return []
    if not os.path.isdir(folder):
        raise GanlabError(f"out={folder} is a file: give a folder that does not exist yet.")
    there = sorted(os.scandir(folder), key=lambda entry: entry.name)
    classes = [entry for entry in there if _CLASS.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)]
    everything = [*there, *(entry for of_class in classes for entry in os.scandir(of_class.path))]
    images = [entry.path for entry in everything if _is_image(entry)]
    own = [*images, *(entry.path for entry in classes)]
    known = {*own, str(folder / MARK)}
    foreign = [entry.path for entry in everything if entry.path not in known]
    if not _is_marked(folder):  # a command that was killed before the first mark leaves a part of it
        foreign = foreign or [entry.path for entry in there if not files.is_part(entry.name)][:1]
    if foreign:
        raise GanlabError(
            f"out={folder} is not empty, and {os.path.relpath(foreign[0], folder)} in it is not of `{MADE_BY}`: give a "
            f"new folder, or empty it."
        )
    return own


def _make_anew(folder: Path, old: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in old:
        if os.path.isdir(path):
            os.rmdir(path)
        else:
            os.unlink(path)


def _is_image(entry: os.DirEntry[str]) -> bool:
    own = _IMAGE.fullmatch(entry.name) is not None or files.is_part(entry.name)
    return own and entry.is_file(follow_symlinks=False)


def _is_marked(folder: Path) -> bool:
    try:
        content = json.loads(files.read(folder / MARK))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("made_by") == MADE_BY
