"""The data of a run in a few numbers, so that a run that is continued on other images is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ganlab.contracts.dataset import Dataset
from ganlab.core import sizes
from ganlab.core.errors import few
from ganlab.data.prepare import Images

IN_MEMORY, IN_FILES = "pixels", "files"


def describe(source: Dataset, images: Images) -> dict[str, Any]:
    """Return counts, the size as found, classes, and a digest.

    The digest is of pixels and labels, and so of what is trained on and of nothing else. Of images that are mapped
    from a file, which may be larger than memory, it is the data set's own, see `Dataset.fingerprint`.

    Args:
        images: As the run takes them: without labels if it is unconditional.
    """
    counts = [] if images.labels is None else np.bincount(images.labels, minlength=images.num_classes).tolist()
    return {
        "images": len(images),
        "found_size": None if source.native_size is None else list(source.native_size),
        "classes": list(images.class_names),
        "images_of_classes": counts,
        "kind": IN_MEMORY if images.path is None else IN_FILES,
        "contents": _digest(images) if images.path is None else source.fingerprint(),
    }


def differences(before: Any, now: Mapping[str, Any]) -> list[str]:
    """Return the differences from what `describe` gave earlier, each a part of a sentence.

    Args:
        before: Of a checkpoint, so it may be anything; None: it is not known.
    """
    if before is None:
        return []
    try:
        json.dumps(before)
    except (TypeError, ValueError):  # tensors and the like
        return ["the images' contents"]
    if not isinstance(before, Mapping):
        return ["the images' contents"]
    same_kind = before.get("kind") == now["kind"]
    if before.get("contents") == now["contents"] if same_kind else before.get("images") == now["images"]:
        return []
    found = []
    if before.get("images") != now["images"]:
        found.append(f"{now['images']} images instead of {before.get('images')}")
    if before.get("found_size") != now["found_size"]:
        found.append(f"images of {_size(now['found_size'])} instead of {_size(before.get('found_size'))}")
    if before.get("classes") != now["classes"]:
        found.append(f"classes {_names(now['classes'])} instead of {_names(before.get('classes'))}")
    elif before.get("images_of_classes") != now["images_of_classes"]:
        found.append(f"{_names(now['images_of_classes'])} images of the classes instead of "
                     f"{_names(before.get('images_of_classes'))}")  # fmt: skip
    return found or ["the images' contents"]


def _digest(images: Images) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr(tuple(images.pixels.shape)).encode())
    digest.update(images.pixels.contiguous().numpy().data)
    if images.labels is not None:
        digest.update(images.labels.contiguous().numpy().data)
    return digest.hexdigest()


def _size(size: Any) -> str:
    if size is None:
        return "many sizes"
    return sizes.words(size) if isinstance(size, list) else "?"


def _names(names: Any) -> str:
    listed = [str(name)[:20] for name in names] if isinstance(names, list) else []
    return few(listed, most=10) or "none"
