"""The data sets that torchvision knows by name."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from ganlab.contracts.dataset import Dataset, Picture
from ganlab.core.cache import cache_folder
from ganlab.core.errors import GanlabError, suggestion
from ganlab.core.ranges import FilledPath
from ganlab.data import headers

# Where torchvision's sets keep one label an image; reading them one by one would decode every image.
_LABEL_ATTRIBUTES = ("targets", "labels", "_labels", "y", "_samples", "samples")


class TorchvisionDataset(Dataset):
    """A set of torchvision: CIFAR10, CIFAR100, MNIST, FashionMNIST, SVHN, STL10, CelebA, Flowers102, ...

    Sets without one class an image (CelebA's 40 attributes) are unlabelled.

    Args:
        name: The class in ``torchvision.datasets``.
        split: Which part: ``train`` or ``test``, or what the set itself names its splits.
        path: Folder that has or gets the files; None is ``torchvision`` in ganlab's cache.
        download: Whether to fetch files that are missing.

    Raises:
        GanlabError: If torchvision cannot be imported, has no such set, or the files are not there.
        ValueError: If the set has no such split.
    """

    def __init__(
        self, name: str = "CIFAR10", split: str = "train", path: FilledPath | None = None, download: bool = False
    ) -> None:
        self._name = name
        self._split = split
        make = _find(name)
        options = inspect.signature(make).parameters
        folder = cache_folder() / "torchvision" if path is None else cache_folder(path)
        self._set = _open(name, make, _arguments(name, options, split, str(folder), download), str(folder))
        if len(self._set) == 0 or not isinstance(self.image(0), Image.Image | np.ndarray):
            raise GanlabError(f"torchvision's {name} is no set of single images; choose another one with data.name.")
        self.labels = _labels(self._set)
        if self.labels is not None:
            self.class_names = _class_names(self._set, int(self.labels.max()) + 1)

    def __len__(self) -> int:
        return len(self._set)

    def image(self, index: int) -> Picture:
        picture: Picture = self._set[index][0]
        return picture

    def name(self, index: int) -> str:
        return f"{self._name} {self._split} {index}"

    @cached_property
    def native_channels(self) -> int:  # type: ignore[override]
        """3 if any of a sample of the images is in colour."""
        return max((channels for _, channels in headers.headers(self)), default=3)

    def fingerprint(self) -> str:
        """Name, split and length, and the pixels of all images where the set holds them, else of a sample.

        These sets are published and do not change; torchvision checks their files.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"{self._name}\0{self._split}\0{len(self)}".encode())
        data = getattr(self._set, "data", None)
        if hasattr(data, "__array__"):
            digest.update(np.ascontiguousarray(data).data)
        else:
            for index in headers.sample(len(self)):
                digest.update(np.ascontiguousarray(self.image(index)).data)
        return f"torchvision {digest.hexdigest()}"


def _find(name: str) -> type:
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError, OSError) as error:
        # RuntimeError: a torchvision that was built for another torch, such as one for GPUs beside a CPU-only torch.
        raise GanlabError(
            f"data=torchvision needs torchvision, which cannot be imported here ({error}); "
            'pip install "ganlab[vision]", from the same index as torch.'
        ) from error
    known = {
        other: kind
        for other in datasets.__all__
        if isinstance(kind := getattr(datasets, other), type) and issubclass(kind, datasets.VisionDataset)
    }
    if name not in known:
        spelled = next((other for other in known if other.lower() == name.lower()), name)
        raise GanlabError(f"torchvision has no data set {name!r}.{suggestion(spelled, known)} Set data.name.")
    return known[name]


def _arguments(
    name: str, options: Mapping[str, inspect.Parameter], split: str, folder: str, download: bool
) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if "root" in options:
        arguments["root"] = folder
    if "split" in options:
        arguments["split"] = split
    elif "train" in options:
        if split not in ("train", "test"):
            raise ValueError(f"split of {name} must be train or test, got {split!r}")
        arguments["train"] = split == "train"
    elif split != "train":
        raise ValueError(f"{name} is not split; leave split at train, got {split!r}")
    if "download" in options:
        arguments["download"] = download
    elif download:
        raise GanlabError(f"torchvision cannot download {name}; get its files yourself and set data.path.")
    return arguments


def _open(name: str, make: type, arguments: dict[str, Any], folder: str) -> Any:
    try:
        return make(**arguments)
    except (OSError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise GanlabError(
            f"torchvision's {name} cannot be read from {folder} ({reason}); set data.path to where it is, "
            "or data.download=true to fetch it."
        ) from error


def _labels(dataset: Any) -> np.ndarray | None:
    for attribute in _LABEL_ATTRIBUTES:
        values = getattr(dataset, attribute, None)
        if values is None:
            continue
        if attribute.endswith("samples"):
            values = [sample[1] for sample in values]
        labels = np.asarray(values)
        # -1 marks images without a class, as in the unlabelled part of STL10.
        if labels.shape == (len(dataset),) and np.issubdtype(labels.dtype, np.integer) and labels.min() >= 0:
            return labels.astype(np.int64)
    return None


def _class_names(dataset: Any, count: int) -> tuple[str, ...]:
    names = getattr(dataset, "classes", None)
    if not isinstance(names, list | tuple) or len(names) < count:
        return tuple(str(label) for label in range(count))
    return tuple(name if isinstance(name, str) else ", ".join(map(str, name)) for name in names)
