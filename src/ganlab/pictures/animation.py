"""Interpolations as animations: WebP, GIF, and MP4 where ffmpeg is installed."""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image
from torch import Tensor

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.sampling import generation

SUFFIXES = (".webp", ".gif", ".mp4")
STEPS = 50  # frames from one end to the other
LEAST_SIDE, MOST_SIDE = 512, 2048  # of a frame, in pixels
FRAME_MILLISECONDS = 40  # 25 frames a second; a GIF counts in hundredths of a second
LEAST_SECONDS = 3  # a walk of few frames shows each of them longer


def rows_that_fit(image_size: int) -> int:
    """Return the default number of paths that are shown at a time: a square of nine, or fewer large ones."""
    return max(1, min(3, LEAST_SIDE // image_size)) ** 2


def frames(images: Tensor, rows: int) -> list[Tensor]:
    """Return a grid of all rows for each step of an interpolation, without an empty place, uint8 (C, H, W).

    Its images are enlarged by a whole number, until its shorter side has 512 pixels or its longer one 2,048.
    """
    down, across = filled(rows)
    height, width = images.shape[2:]
    shorter, longer = sorted((down * height, across * width))
    scale = min(math.ceil(LEAST_SIDE / shorter), max(math.ceil(LEAST_SIDE / longer), MOST_SIDE // longer))
    return [generation.grid(step, across, scale) for step in images.unflatten(0, (rows, -1)).unbind(1)]


def filled(count: int) -> tuple[int, int]:
    """Return rows and columns of a full grid of ``count`` images, as square as it can be."""
    down = next(n for n in range(math.isqrt(count), 0, -1) if count % n == 0)
    return down, count // down


def write(frames: Sequence[Tensor], path: Path, *, back: bool = True, quality: int | None = None) -> None:
    """Write uint8 (C, H, W) frames, whole or not at all.

    WebP keeps the pixels, a GIF has at most 256 colours a frame, and ffmpeg chooses the encoder of an MP4.

    Args:
        back: After the last frame they are shown backwards to the first one.
        quality: Of a WebP that need not keep the pixels, at most 100; None: it keeps them.

    Raises:
        GanlabError: If an MP4 is asked for and there is no ffmpeg, or it fails.
        OSError: If the file cannot be written.
    """
    refuse_without_ffmpeg(path)
    pictures = [Image.fromarray(f.permute(1, 2, 0).expand(-1, -1, 3).contiguous().numpy()) for f in frames]
    pictures += pictures[-2:0:-1] if back else []
    milliseconds = max(FRAME_MILLISECONDS, 10 * math.ceil(100 * LEAST_SECONDS / len(pictures)))
    with files.whole(path) as file:
        if path.suffix.lower() == ".mp4":
            _encode(pictures, milliseconds, Path(file.name))
            return
        webp = {"lossless": True, "method": 2} if quality is None else {"quality": quality, "method": 4}
        options = webp if path.suffix.lower() == ".webp" else {}
        pictures[0].save(
            file,
            format=path.suffix[1:].upper(),
            save_all=True,
            append_images=pictures[1:],
            duration=milliseconds,
            loop=0,
            **options,
        )


def refuse_without_ffmpeg(path: Path) -> None:
    """Raises:
    GanlabError: If ``path`` is an MP4 and ffmpeg is not installed.
    """
    if path.suffix.lower() == ".mp4" and shutil.which("ffmpeg") is None:
        raise GanlabError(
            f"out={path} needs ffmpeg, which is not installed: install it, or take out=walk.webp or .gif."
        )


def _encode(pictures: Sequence[Image.Image], milliseconds: int, path: Path) -> None:
    """Pipe frames to ffmpeg; white is added where a side is odd, which most players cannot show."""
    width, height = pictures[0].size
    size = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"1000/{milliseconds}", "-i", "-"]
    even = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:0:0:white", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    command = ["ffmpeg", "-v", "error", "-y", *size, *even, "-f", "mp4", str(path.absolute())]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
        assert process.stdin is not None
        with suppress(BrokenPipeError), process:  # an encoder that ends early says why
            try:
                for picture in pictures:
                    process.stdin.write(picture.tobytes())
            except KeyboardInterrupt:
                process.kill()
                raise
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
    if process.returncode != 0:
        raise GanlabError(f"ffmpeg cannot make the video: {lines[-1].rstrip('.')}. Take out=walk.webp or .gif instead.")
