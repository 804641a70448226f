"""Pictures of every kind become the pixels that they show."""

from __future__ import annotations

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ganlab.data.pixels import channels, crop_box, eight_bit, pixels, size


def stored(image: Image.Image, format: str, **options: object) -> Image.Image:
    """``image`` after a round trip through a file, as data sets have it."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return Image.open(io.BytesIO(file.getvalue()))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def shown(picture: Image.Image | np.ndarray) -> np.ndarray:
    return np.asarray(eight_bit(picture))


def png(width: int, height: int, bits: int, color_type: int, rows: bytes) -> Image.Image:
    """A PNG written from its specification, for kinds that Pillow reads and does not write."""

    def block(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", zlib.compress(rows)) + block(b"IEND", b"")
    return Image.open(io.BytesIO(data))


def test_colour_and_grey_stay_as_they_are() -> None:
    colour, grey = noise(5, 4, 3), noise(5, 4)
    assert np.array_equal(shown(stored(Image.fromarray(colour), "PNG")), colour)
    assert np.array_equal(shown(stored(Image.fromarray(grey), "PNG")), grey)


def test_black_and_white_is_0_and_255() -> None:
    bits = noise(5, 9) > 127
    assert np.array_equal(shown(stored(Image.fromarray(bits), "PNG")), bits * 255)


def test_a_palette_gives_its_colours() -> None:
    indices = np.array([[0, 1], [2, 1]], dtype=np.uint8)
    palette = np.array([[10, 20, 30], [200, 0, 100], [0, 255, 0]], dtype=np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    assert image.mode == "P"
    assert np.array_equal(shown(stored(image, "PNG")), palette[indices])


def test_a_transparent_palette_entry_shows_white() -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert shown(stored(image, "PNG", transparency=1)).tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_a_transparent_colour_without_an_alpha_channel_shows_white() -> None:
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    assert shown(stored(image, "PNG", transparency=(4, 5, 6))).tolist() == [[[1, 2, 3], [255, 255, 255]]]
    grey = Image.fromarray(np.array([[7, 8]], dtype=np.uint8))
    assert shown(stored(grey, "PNG", transparency=8)).tolist() == [[7, 255]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composited_on_white(mode: str) -> None:
    """out = a·x + (1 - a)·255, to within a rounding."""
    values = noise(16, 16, len(mode))
    colour, alpha = values[..., :-1].astype(float), values[..., -1:] / 255
    expected = (alpha * colour + (1 - alpha) * 255).squeeze()
    assert np.abs(shown(stored(Image.fromarray(values), "PNG")) - expected).max() <= 1


def test_sixteen_bit_grey_spans_the_whole_range() -> None:
    """v / 257 to the nearest, so 65535 is 255; not v / 256, and not a clip at 255."""
    values = np.array([[0, 128, 129, 257], [32767, 32768, 65406, 65535]], dtype=np.uint16)
    image = stored(Image.fromarray(values), "PNG")
    expected = [[int(v / 257 + 0.5) for v in row] for row in values.tolist()]
    assert shown(image).tolist() == expected
    assert (expected[0], expected[1][3]) == ([0, 0, 1, 1], 255)
    assert shown(stored(Image.fromarray(values), "TIFF")).tolist() == expected


def test_sixteen_bit_grey_in_32_bit_pixels_is_the_same() -> None:
    assert shown(Image.fromarray(np.array([[0, 65535, 257]], dtype=np.int32))).tolist() == [[0, 255, 1]]


def test_sixteen_bit_colour_spans_the_whole_range() -> None:
    row = b"\0" + struct.pack(">6H", 0, 32768, 65535, 65535, 0, 256)
    assert shown(png(2, 1, 16, 2, row)).tolist() == [[[0, 128, 255], [255, 0, 1]]]


def test_sixteen_bit_grey_with_alpha_is_composited_on_white() -> None:
    row = b"\0" + struct.pack(">4H", 0, 65535, 0, 0)
    assert shown(png(2, 1, 16, 4, row))[..., 0].tolist() == [[0, 255]]


def test_cmyk_is_ink_on_white() -> None:
    inks = np.array([[[0, 0, 0, 0], [0, 0, 0, 255], [255, 0, 0, 0], [0, 255, 255, 0]]], dtype=np.uint8)
    image = stored(Image.merge("CMYK", [Image.fromarray(inks[..., ink]) for ink in range(4)]), "TIFF")
    assert image.mode == "CMYK"
    assert shown(image).tolist() == [[[255, 255, 255], [0, 0, 0], [0, 255, 255], [255, 0, 0]]]


def test_cmyk_jpegs_are_not_inverted() -> None:
    paper = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert (shown(stored(paper, "JPEG")) > 250).all()


@pytest.mark.parametrize("values", [np.zeros((2, 2), np.float32), np.full((2, 2), 65536, np.int32)])
def test_pixels_without_a_defined_white_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no defined white"):
        eight_bit(Image.fromarray(values))


def test_of_an_animation_the_first_frame_is_shown() -> None:
    frames = [Image.new("L", (4, 4), level) for level in (0, 255)]
    image = stored(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert image.n_frames == 2  # type: ignore[attr-defined]
    assert (shown(image) == 0).all()


# EXIF 2.3, tag 0x0112: where row 0 and column 0 of the stored image lie in the scene.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_rotation_is_undone(orientation: int, format: str) -> None:
    stored_pixels = np.kron(np.array([[0, 60, 120], [180, 220, 255]], dtype=np.uint8), np.ones((16, 16), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = stored(Image.fromarray(stored_pixels), format, exif=exif)
    expected = UPRIGHT[orientation](stored_pixels)
    assert size(image) == expected.shape
    assert np.abs(shown(image).astype(int) - expected).max() <= (3 if format == "JPEG" else 0)


def test_a_damaged_exif_block_does_not_cost_the_image() -> None:
    image = stored(Image.fromarray(noise(4, 4)), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(shown(image), noise(4, 4))


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_arrays_are_pictures_too(shape: tuple[int, ...]) -> None:
    assert np.array_equal(shown(noise(*shape)), noise(*shape).squeeze())


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros(4, np.uint8), np.zeros((2, 4, 4, 3), np.uint8)])
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        eight_bit(array)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", 1), ("L", 1), ("LA", 1), ("I;16", 1), ("P", 3), ("RGB", 3), ("RGBA", 3), ("CMYK", 3)],
)
def test_modes_are_grey_or_colour(mode: str, expected: int) -> None:
    assert channels(Image.new(mode, (2, 2))) == expected


def test_the_crop_is_the_largest_centred_part_of_the_wanted_shape() -> None:
    """Against a search over all boxes: none that is larger has the aspect ratio to within a pixel."""
    for width, height, wanted in itertools.product((1, 7, 10, 33), (1, 8, 10, 21), ((4, 4), (2, 4), (9, 3))):
        left, top, right, bottom = crop_box(width, height, wanted)
        w, h = right - left, bottom - top
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert w == width or h == height or 1 in (w, h)  # one side whole: nothing larger fits
        assert abs(w * wanted[0] - h * wanted[1]) <= max(wanted) or 1 in (w, h)
        assert 0 <= (width - right) - left <= 1
        assert 0 <= (height - bottom) - top <= 1


def test_a_wide_image_loses_its_sides_and_nothing_else() -> None:
    columns = np.tile(np.arange(100, dtype=np.uint8), (64, 1))
    assert np.array_equal(pixels(columns, (64, 64), 1)[0], columns[:, 18:82])
    assert np.array_equal(pixels(columns.T, (64, 64), 1)[0], columns.T[18:82])
    assert np.array_equal(pixels(columns, (64, 32), 1)[0], columns[:, 34:66])


def test_a_single_odd_column_does_not_blur_the_image() -> None:
    image = noise(64, 65, 3)
    assert np.array_equal(pixels(image, (64, 64), 3), image[:, :64].transpose(2, 0, 1))


def test_smaller_is_lanczos_and_larger_is_bicubic() -> None:
    image = noise(40, 40, 3)
    for wanted, kind in ((16, Image.Resampling.LANCZOS), (64, Image.Resampling.BICUBIC)):
        expected = np.asarray(Image.fromarray(image).resize((wanted, wanted), kind)).transpose(2, 0, 1)
        assert np.array_equal(pixels(image, (wanted, wanted), 3), expected)


def test_shrinking_is_antialiased() -> None:
    """Stripes one pixel wide have mean 127.5 and no frequency that a quarter of the size can hold.

    Point sampling or interpolation without a prefilter would give 0, 255 or the stripes' alias.
    """
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (128, 64))
    shrunk = pixels(stripes, (32, 32), 1)[0, 4:-4, 4:-4].astype(float)
    assert np.abs(shrunk - 127.5).max() < 4


def test_grey_for_colour_networks_is_repeated() -> None:
    image = noise(16, 16)
    result = pixels(image, (8, 8), 3)
    assert result.shape == (3, 8, 8)
    assert np.array_equal(result, np.repeat(pixels(image, (8, 8), 1), 3, axis=0))


def test_colour_for_grey_networks_is_its_luma() -> None:
    """ITU-R 601: 0.299 R + 0.587 G + 0.114 B."""
    image = noise(16, 16, 3)
    expected = image @ np.array([0.299, 0.587, 0.114])
    assert np.abs(pixels(image, (16, 16), 1)[0] - expected).max() <= 0.6


@pytest.mark.parametrize("image_channels", [1, 3])
def test_height_comes_before_width(image_channels: int) -> None:
    result = pixels(noise(50, 30, 3), (10, 6), image_channels)
    assert (result.shape, result.dtype) == ((image_channels, 10, 6), np.uint8)
