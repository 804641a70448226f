"""From a picture of any size and mode to the pixels that networks see."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from ganlab.contracts.dataset import Picture

_ORIENTATION = 0x0112  # EXIF tag
_GREY_MODES = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N", "I")


def pixels(picture: Picture, image_size: tuple[int, int], image_channels: int) -> np.ndarray:
    """``picture`` cropped, resized and converted: uint8 ``(C, H, W)``.

    The largest centred part of the wanted aspect ratio is kept. PIL resizes it, with antialiasing, on
    sRGB values as they are: Lanczos when the image gets smaller (StyleGAN's data sets are made so),
    bicubic when it gets larger, where Lanczos would ring more. Grey is ITU-R 601 luma.
    """
    image = eight_bit(picture)
    if image_channels == 1:
        image = image.convert("L")
    image = _fit(image, image_size)
    array = np.asarray(image)
    # Grey for colour networks is repeated after resizing, at a third of the cost.
    return np.broadcast_to(array, (3, *image_size)) if array.ndim == 2 and image_channels == 3 else _chw(array)


def eight_bit(picture: Picture) -> Image.Image:
    """``picture`` upright, opaque and with eight bits a channel, in mode L or RGB.

    Transparent parts are shown on white. 16-bit grey is divided by 257, so that 65535 is 255; 16-bit
    colour loses its lower byte, in PIL. Embedded colour profiles are ignored. Of an animation the first
    frame is taken.

    Raises:
        ValueError: If the brightness of the picture's values is not defined (floating point, 32 bits).
    """
    image = _from_array(picture) if isinstance(picture, np.ndarray) else _upright(picture)
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _from_sixteen_bits(image)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no defined white; save it with 8 or 16 bits")
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        return _on_white(image)
    return image.convert("L" if image.mode == "1" else "RGB")


def channels(image: Image.Image) -> int:
    """1 for a mode that holds grey only, else 3; looks at no pixel."""
    return 1 if image.mode in _GREY_MODES else 3


def size(image: Image.Image) -> tuple[int, int]:
    """(height, width) as shown, that is after the rotation that EXIF asks for; decodes only what is rotated."""
    width, height = _upright(image).size
    return height, width


def crop_box(width: int, height: int, image_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the largest centred part that has the aspect ratio of ``image_size``.

    In whole pixels: a fractional box would blur an image that needs no resizing.
    """
    wanted_height, wanted_width = image_size
    crop_width = min(width, max(1, round(height * wanted_width / wanted_height)))
    crop_height = min(height, max(1, round(width * wanted_height / wanted_width)))
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return left, top, left + crop_width, top + crop_height


def _fit(image: Image.Image, image_size: tuple[int, int]) -> Image.Image:
    box = crop_box(*image.size, image_size)
    height, width = image_size
    smaller = (box[2] - box[0]) * (box[3] - box[1]) > height * width
    # Without a crop and with the size kept, resize() returns a copy.
    return image.resize((width, height), Image.Resampling.LANCZOS if smaller else Image.Resampling.BICUBIC, box=box)


def _chw(array: np.ndarray) -> np.ndarray:
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise ValueError(f"expected uint8 (H, W) or (H, W, C), got {array.dtype} {array.shape}")
    return Image.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged EXIF block can raise nearly anything, and the pixels are sound
        return 1


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(image) if 2 <= _orientation(image) <= 8 else image


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    # Mode I is 32 bits wide, yet older versions of Pillow open 16-bit PNGs in it.
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("32-bit pixels have no defined white; save it with 8 or 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    grey = image.mode in _GREY_MODES
    image = image.convert("LA" if grey else "RGBA")
    white = Image.new("L" if grey else "RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white
