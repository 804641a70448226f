"""examples/emoji64.py turns the npm package of emoji into a data set that ganlab reads."""

from __future__ import annotations

import io
import json
import runpy
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "examples/emoji64.py"


def test_pictures_are_put_on_white_and_get_the_class_of_their_category(tmp_path: Path) -> None:
    """Two emoji, one with a skin tone: three pictures in the order of their names, classes in alphabetical order."""
    emoji = [
        {"category": "Symbols", "image": "a.png"},
        {"category": "Flags", "image": "c.png", "skin_variations": {"1F3FB": {"image": "b.png"}}},
    ]
    package = io.BytesIO()
    with tarfile.open(fileobj=package, mode="w:gz") as archive:
        _add(archive, "package/img/google/64/c.png", _png(alpha=255))
        _add(archive, "package/img/google/64/a.png", _png(alpha=0))
        _add(archive, "package/img/google/64/b.png", _png(alpha=255))
        _add(archive, "package/emoji.json", json.dumps(emoji).encode())
        _add(archive, "package/img/google/sheets/all.png", b"no picture of an emoji")
    package.seek(0)

    count = runpy.run_path(str(SCRIPT))["make"](package, tmp_path / "emoji.zip")

    assert count == 3
    with zipfile.ZipFile(tmp_path / "emoji.zip") as made:
        labels = json.loads(made.read("dataset.json"))["labels"]
        images = [np.asarray(Image.open(io.BytesIO(made.read(path)))) for path, _ in labels]
    assert labels == [["00000/img00000000.png", 1], ["00000/img00000001.png", 0], ["00000/img00000002.png", 0]]
    assert [image[0, 0].tolist() for image in images] == [[255, 255, 255], [200, 0, 0], [200, 0, 0]]


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _png(alpha: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (2, 2), (200, 0, 0, alpha)).save(file, "PNG")
    return file.getvalue()
