"""fit, and images of every PIL mode."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from alae_tf.images import read
from alae_tf.images.fit import fit
from alae_tf.images.read import read_image


def test_fit_takes_the_mean_of_each_block():
    blocks = [[0, 10, 100, 100], [20, 30, 100, 104], [1, 1, 0, 0], [1, 1, 0, 255]]
    image = np.array(blocks, np.uint8)[..., None]
    # (0 + 10 + 20 + 30) / 4, (3 * 100 + 104) / 4, 1, (0 + 127.5 rounded) / 2
    assert fit(image, 2)[..., 0].tolist() == [[15, 101], [1, 64]]


def test_fit_averages_areas_where_pixels_do_not_divide():
    stripe = np.zeros([3, 3, 1], np.uint8)
    stripe[1] = 255
    assert fit(stripe, 2)[..., 0].tolist() == [[85, 85]] * 2  # a half of 255 in 1.5 rows
    assert fit(stripe.transpose(1, 0, 2), 2)[..., 0].tolist() == [[85, 85]] * 2
    ramp = np.broadcast_to(np.arange(178, dtype=np.uint8)[:, None, None], [178, 178, 3])
    middles = (np.arange(128) + 0.5) * 178 / 128 - 0.5  # area averaging keeps a ramp a ramp
    assert np.abs(fit(ramp, 128)[:, 60, 1] - middles).max() < 0.7
    assert fit(np.full([218, 178, 3], 255, np.uint8), 128).min() == 255


def test_fit_cuts_out_the_centre_square():
    wide = np.zeros([2, 6, 3], np.uint8)
    wide[:, 2:4] = [7, 8, 9]
    assert fit(wide, 2).tolist() == [[[7, 8, 9]] * 2] * 2
    assert np.array_equal(fit(wide.transpose(1, 0, 2), 2), fit(wide, 2))


def test_fit_enlarges_by_bicubic():
    image = np.zeros([2, 2, 1], np.uint8)
    image[:, 1] = 255
    expected = np.asarray(Image.fromarray(image[..., 0]).resize((4, 4), Image.Resampling.BICUBIC))
    assert np.array_equal(fit(image, 4)[..., 0], expected)
    assert 0 < expected[0, 1] < expected[0, 2] < 255


def test_digits_are_padded_to_32_but_not_at_28():
    digit = np.random.default_rng(0).integers(0, 256, [28, 28, 1], np.uint8)
    assert np.array_equal(fit(digit, 28), digit)
    padded = fit(digit, 32)
    assert np.array_equal(padded[2:30, 2:30], digit)
    assert padded.sum() == digit.sum()  # nothing but black around it
    rows = np.floor(padded.reshape(32, 16, 2).mean(axis=2) + 0.5)
    means = np.floor(rows.reshape(16, 2, 16).mean(axis=1) + 0.5)
    assert np.array_equal(fit(digit, 16)[..., 0], means)


def png(image: Image.Image, format: str = "PNG", **options) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format, **options)
    file.seek(0)
    return file


def rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    return exif


def test_grey_becomes_three_equal_channels():
    grey = png(Image.fromarray(np.array([[5, 200]], np.uint8)))
    assert read_image(grey, 3).tolist() == [[[5, 5, 5], [200, 200, 200]]]
    assert read_image(grey, 1).tolist() == [[[5], [200]]]


def test_colour_becomes_grey_by_luma():
    image = Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))
    assert read_image(png(image), 1).ravel().tolist() == [76, 150, 29]  # 255 * .299, .587, .114
    assert read_image(png(image), 3)[0, 1].tolist() == [0, 255, 0]


def test_palette_with_and_without_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    assert read_image(png(image), 3).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert read_image(png(image, transparency=1), 3).tolist() == [[[255, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize(
    "mode, pixel, expected",
    [
        ("RGBA", (255, 0, 0, 51), [255, 204, 204]),  # a fifth of red, four fifths of white
        ("RGBA", (1, 2, 3, 255), [1, 2, 3]),
        ("LA", (100, 0), [255, 255, 255]),
        ("LA", (100, 255), [100, 100, 100]),
    ],
)
def test_transparent_parts_lie_on_white(mode, pixel, expected):
    assert read_image(png(Image.new(mode, (1, 1), pixel)), 3).tolist() == [[expected]]


def test_sixteen_bits_are_scaled_not_clipped():
    wide = Image.fromarray(np.array([[0xABCD, 0xFFFF], [0, 257]], np.uint16))
    assert wide.mode == "I;16"
    assert read_image(png(wide), 1)[..., 0].tolist() == [[0xAB, 255], [0, 1]]
    assert read_image(png(wide, exif=rotated()), 1)[..., 0].tolist() == [[0, 0xAB], [1, 255]]


def test_one_bit():
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert read_image(png(image), 3).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_exif_rotation_moves_the_marked_corner():
    image = Image.new("L", (16, 8))
    image.paste(255, (0, 0, 8, 8))  # the left half
    upright = read_image(png(image, "JPEG", quality=100, exif=rotated()), 1)
    assert upright.shape == (16, 8, 1)
    assert upright[:8].min() == 255 and upright[8:].max() == 0  # the left half is now on top


def test_cmyk_jpeg():
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow make red
    assert read_image(png(ink, "JPEG", quality=100), 3)[8, 8].tolist() == [255, 0, 0]


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    webp = png(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert read_image(webp, 3)[0, 0].tolist() == [255, 0, 0]


def test_too_many_pixels_are_refused(monkeypatch):
    file = png(Image.new("1", (300, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    assert read_image(file, 1).shape == (100, 300, 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(Image.DecompressionBombError):
        read_image(file, 1)


def test_a_side_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(read, "MOST_SIDE", 300)
    assert read_image(png(Image.new("1", (300, 1))), 1).shape == (1, 300, 1)
    with pytest.raises(Image.DecompressionBombError):
        read_image(png(Image.new("1", (1, 301))), 1)


def exif(*fields: tuple[int, int, int, bytes]) -> bytes:
    """EXIF of fields (tag, type, count, four bytes), little-endian."""
    entries = b"".join(struct.pack("<HHI", *field[:3]) + field[3] for field in fields)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + entries + bytes(4)


def test_exif_with_a_mistyped_field_still_turns_the_image():
    image = Image.new("L", (16, 8))
    width = (0x0100, 2, 3, b"16\0\0")  # ImageWidth as ASCII
    turned = (0x0112, 3, 1, b"\x06\0\0\0")
    assert read_image(png(image, "JPEG", exif=exif(width, turned)), 1).shape == (16, 8, 1)
    typed = (0x0112, 2, 2, b"6\0\0\0")  # the orientation itself
    for damaged in (exif(width, typed), b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nothing"):
        assert read_image(png(image, "JPEG", exif=damaged), 1).shape == (8, 16, 1)


@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation(value):
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    tag = Image.Exif()
    tag[0x0112] = value
    file = png(image, exif=tag)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    assert np.array_equal(read_image(file, 1)[..., 0], expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientations_of_other_types_and_values(kind):
    image = Image.new("L", (16, 8))
    for order, header in (("<", b"II*\0"), (">", b"MM\0*")):
        for form, value, turned in (
            *(("HHIH2x", value, value in (5, 6, 7, 8)) for value in (0, 1, 4, 5, 8, 9, 262)),
            *(("HHII", value, value == 6) for value in (6, 0, 2**16 + 6, 2**32 - 1)),
        ):
            field = struct.pack(f"{order}{form}", 0x0112, 3 if "x" in form else 4, 1, value)
            data = b"Exif\0\0" + header + struct.pack(f"{order}IH", 8, 1) + field + bytes(4)
            if kind == "TIFF":  # an image's own header; PIL writes the field as SHORT
                if value > 65535:
                    continue
                tag = Image.Exif()
                tag[0x0112] = value
                data = tag
            shape = read_image(png(image, kind, exif=data), 1).shape
            assert shape == ((16, 8, 1) if turned else (8, 16, 1)), (order, value)


def test_a_large_colour_profile_in_a_png(monkeypatch):
    image = Image.new("RGB", (4, 4), "red")
    large = png(image, icc_profile=bytes(3 * 2**20))
    assert read_image(large, 3)[0, 0].tolist() == [255, 0, 0]
    monkeypatch.setattr(read, "MOST_TEXT", 2**20)
    with pytest.raises(ValueError):
        read_image(large, 3)


def test_tiff():
    image = Image.new("RGB", (16, 8), "red")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate"):
        file = png(image, "TIFF", compression=compression, exif=rotated())
        assert read_image(file, 3).shape == (16, 8, 3)
    with pytest.raises(ValueError, match="floating-point"):
        read_image(png(Image.new("F", (8, 8), 0.5), "TIFF"), 3)
