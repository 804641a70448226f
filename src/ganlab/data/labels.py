"""The class of each image of a folder or an archive."""

from __future__ import annotations

import json
import posixpath
import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ganlab.core import streams
from ganlab.core.errors import GanlabError

SOURCES = ("auto", "json", "folders", "none")
DESCRIPTION = "dataset.json"

_MOST = 2**16  # classes of a set that has fewer images than classes
Labels = tuple[np.ndarray | None, tuple[str, ...]]
_UNLABELLED: Labels = (None, ())

# StyleGAN's dataset tool spreads a set over numbered folders; without dataset.json they are no classes.
_SHARD = re.compile(r"(^|/)\d{5}/img\d{8}\.\w+$")


def find_labels(where: str, names: Sequence[str], source: str, description: tuple[str, bytes] | None) -> Labels:
    """Return labels ``(N,)`` and class names, or None and no names.

    Args:
        where: The set's path, for messages.
        names: The images' names, sorted, with ``/`` between folders.
        source: ``json`` reads the description; ``folders`` takes the first folder of each name (folders
            that hold everything are looked into) as its class; ``none`` has no classes; ``auto`` is
            ``json`` where there is a description, else ``folders`` where there are class folders, else ``none``.
        description: Name and contents of dataset.json, ``{"labels": [[name, class], ...]}`` or
            ``{"labels": null}``, with names relative to its own folder. Classes that are numbered from 1 on become
            those from 0 on, and a line says so, as it does of classes without images.

    Raises:
        GanlabError: If the description does not match the images, or class folders lie beside images.
    """
    if source == "none":
        return _UNLABELLED
    if source == "json" and description is None:
        raise GanlabError(f"{where} has no {DESCRIPTION}; add one, or set data.labels=folders or data.labels=none.")
    if source in ("auto", "json") and description is not None:
        return _from_description(where, names, *description)
    if source == "auto" and all(_SHARD.search(name) for name in names):
        return _UNLABELLED
    return _from_folders(where, names, required=source == "folders")


def common_folder(names: Sequence[str]) -> str:
    """Return the folder that holds everything: "", or with a slash at its end. ``names`` are sorted."""
    folder = posixpath.commonpath([posixpath.dirname(names[0]), posixpath.dirname(names[-1])])
    return f"{folder}/" if folder else ""


def _from_folders(where: str, names: Sequence[str], *, required: bool) -> Labels:
    common = len(common_folder(names))
    parts = [name[common:].partition("/") for name in names]
    beside = [name for name, (_, slash, _) in zip(names, parts, strict=True) if not slash]
    if len(beside) == len(names):
        if required:
            raise GanlabError(
                f"{where} has no class folders, which data.labels=folders asks for; use data.labels=none."
            )
        return _UNLABELLED
    if beside:
        raise GanlabError(
            f"{where} has class folders and {len(beside):,} images beside them ({beside[0]}, ...); "
            "move these into a class folder, or set data.labels=none."
        )
    folders = [folder for folder, _, _ in parts]
    classes = sorted(set(folders))
    if all(name.isdecimal() for name in classes):
        classes.sort(key=lambda name: (int(name), name))  # so that label 10 is folder 10 and not folder 2
    index = {name: label for label, name in enumerate(classes)}
    return np.array([index[folder] for folder in folders], dtype=np.int64), tuple(classes)


def _from_description(where: str, names: Sequence[str], path: str, contents: bytes) -> Labels:
    pairs = _read_pairs(where, contents)
    if pairs is None:
        return _UNLABELLED
    folder = path[: -len(DESCRIPTION)]
    given = {folder + name: label for name, label in pairs}
    if len(given) != len(pairs):
        raise GanlabError(f"{DESCRIPTION} of {where} names an image more than once; write one label an image.")
    unlabelled = [name for name in names if name not in given]
    missing = sorted(given.keys() - set(names))
    if unlabelled or missing:
        raise GanlabError(
            f"{DESCRIPTION} of {where} does not match its images: "
            + "; ".join(
                f"{len(some):,} {what} ({some[0]}{', ...' if len(some) > 1 else ''})"
                for some, what in ((unlabelled, "without a label"), (missing, "labelled and not there"))
                if some
            )
            + "; make the set again, or set data.labels=none."
        )
    return _numbered(where, np.array([given[name] for name in names], dtype=np.int64))


def _numbered(where: str, labels: np.ndarray) -> Labels:
    """Return classes by their numbers from 0 on, those without images too: a part has the classes of the whole set."""
    numbers = np.unique(labels).tolist()
    count = numbers[-1] + 1
    if count > max(len(labels), _MOST):
        raise GanlabError(
            f"{DESCRIPTION} of {where} has a class {numbers[-1]} and {len(labels):,} images: number the classes from "
            f"0 on, or set data.labels=none."
        )
    said = ""
    if numbers == list(range(1, count)) and len(numbers) > 1:
        labels, said = labels - 1, f"numbers its classes from 1 on: they are taken as 0 to {count - 2}"
    elif len(numbers) < count:
        empty = sorted(set(range(count)) - set(numbers))
        listed = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        said = f"has {len(empty):,} of {count:,} classes without images ({listed})"
    if said and streams.is_first_rank():
        print(f"{DESCRIPTION} of {where} {said}.", file=sys.stderr)
    return labels, tuple(str(number) for number in range(int(labels.max()) + 1))


def _read_pairs(where: str, contents: bytes) -> list[tuple[str, int]] | None:
    expected = '{"labels": [[name, class], ...]} with whole numbers from 0 as classes, or {"labels": null}'
    try:
        labels: Any = json.loads(contents)["labels"]
        if labels is None:
            return None
        pairs = [(str(name).replace("\\", "/"), label) for name, label in labels]
        if not pairs or not all(type(label) is int and 0 <= label < 2**31 for _, label in pairs):
            raise ValueError("no such classes")
    except (ValueError, TypeError, KeyError) as error:
        raise GanlabError(
            f"{DESCRIPTION} of {where} cannot be used; expected {expected}. Fix it, or set data.labels=none."
        ) from error
    return pairs
