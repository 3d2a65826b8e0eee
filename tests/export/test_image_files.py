"""Image files in a served graph: the same pixels as in training, and bytes of strangers."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from alae_tf.images import fit, read
from export import image_files

RANDOM = np.random.default_rng(0)
SMOOTH = np.asarray(Image.fromarray(RANDOM.integers(0, 256, (5, 4, 3), np.uint8)).resize((44, 31)))
RGB, GREY = Image.fromarray(SMOOTH), Image.fromarray(SMOOTH[..., 0])
ALPHA = Image.fromarray(RANDOM.integers(0, 256, (31, 44), np.uint8))
WIDE = Image.fromarray(RANDOM.integers(0, 2**16, (31, 44), np.uint16))
ONE_BIT = ALPHA.convert("1")
PALETTE = RGB.quantize(17)


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(ALPHA)
    return image


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int, big: bool = False) -> bytes:
    """EXIF with a field of a wrong type before the orientation."""
    order = ">" if big else "<"
    fields = struct.pack(f"{order}HHI4s", 0x0100, 2, 3, b"44\0\0")
    fields += struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    header = (b"MM\0*" if big else b"II*\0") + struct.pack(f"{order}IH", 8, 2)
    return b"Exif\0\0" + header + fields + bytes(4)


def odd(kind: int, *values: int, count: int = 1, header: bytes = b"II*\0") -> bytes:
    """EXIF with an orientation of a type in each of several fields."""
    order = ">" if header.startswith(b"MM") else "<"
    form = f"{order}HHI" + {1: "B3x", 6: "B3x", 3: "H2x", 8: "H2x"}.get(kind, "I")
    fields = b"".join(struct.pack(form, 0x0112, kind, count, value) for value in values)
    return b"Exif\0\0" + header + struct.pack(f"{order}IH", 8, len(values)) + fields + bytes(4)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png4(transparent: int) -> bytes:
    """A grey PNG of 4 bits with a transparent grey."""
    header = struct.pack(">IIBBBBB", 16, 1, 4, 0, 0, 0, 0)
    row = zlib.compress(b"\0" + bytes(range(0x01, 0xFF, 0x22)))
    parts = (b"IHDR", header), (b"tRNS", struct.pack(">H", transparent)), (b"IDAT", row)
    return read_magic() + b"".join(chunk(*part) for part in parts) + END


def png16(colour: int, channels: int) -> bytes:
    """A PNG of 16 bits, which PIL does not write but in grey."""
    rows = RANDOM.integers(0, 256, (6, 5 * channels * 2), np.uint8)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", 5, 6, 16, colour, 0, 0, 0)
    return read_magic() + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + END


def read_magic() -> bytes:
    return image_files.MAGIC["png"]


END = chunk(b"IEND", b"")
late = saved(RGB).replace(END, chunk(b"eXIf", turned(6)[6:]) + END)

FILES = {
    "png": saved(RGB),
    "png grey": saved(GREY),
    "png transparent": saved(with_alpha(RGB)),
    "png grey transparent": saved(with_alpha(GREY)),
    "png one colour transparent": saved(RGB, transparency=tuple(SMOOTH[3, 4].tolist())),
    "png one grey transparent": saved(GREY, transparency=int(SMOOTH[3, 4, 0])),
    "png palette": saved(PALETTE),
    "png palette transparent": saved(PALETTE, transparency=bytes(range(0, 255, 15))),
    "png 1 bit": saved(ONE_BIT),
    "png 1 bit transparent": saved(ONE_BIT, transparency=0),
    "png palette of 2 bits": saved(RGB.quantize(4), bits=2),
    "png palette of 4 bits transparent": saved(
        RGB.quantize(9), bits=4, transparency=bytes([1, 15])
    ),
    "png 16 bits": saved(WIDE),
    "png 16 bits colour": png16(2, 3),
    "png 16 bits grey transparent": png16(4, 2),
    "png 16 bits transparent": png16(6, 4),
    "png large profile": saved(RGB, icc_profile=bytes(2 * 2**20)),
    "png turned late": late,
    "jpeg": saved(RGB, "JPEG"),
    "jpeg fine": saved(RGB, "JPEG", quality=98, subsampling=0),
    "jpeg progressive": saved(RGB, "JPEG", progressive=True),
    "jpeg grey": saved(GREY, "JPEG"),
    "jpeg damaged exif": saved(RGB, "JPEG", exif=turned(6)[:-30]),
    "jpeg signed exif": saved(RGB, "JPEG", exif=odd(8, 6)),
    "jpeg long signed exif": saved(RGB, "JPEG", exif=odd(9, 6)),
    "jpeg byte exif": saved(RGB, "JPEG", exif=odd(1, 6)),
    "jpeg signed byte exif": saved(RGB, "JPEG", exif=odd(6, 6)),
    "jpeg signed byte exif, big-endian": saved(RGB, "JPEG", exif=odd(6, 6, header=b"MM\0*")),
    "jpeg long exif": saved(RGB, "JPEG", exif=odd(4, 6)),
    "png long exif, big-endian": saved(RGB, exif=odd(4, 8, header=b"MM\0*")),
    "jpeg exif of 0": saved(RGB, "JPEG", exif=odd(3, 0)),
    "png exif of 9": saved(RGB, exif=odd(3, 9)),
    "png exif of 2**16 + 6": saved(RGB, exif=odd(4, 2**16 + 6)),
    "jpeg exif of -1": saved(RGB, "JPEG", exif=odd(4, 2**32 - 1, header=b"MM\0*")),
    "jpeg two values in exif": saved(RGB, "JPEG", exif=odd(3, 6, count=2)),
    "jpeg two fields in exif": saved(RGB, "JPEG", exif=odd(3, 3, 6)),
    "jpeg other exif": saved(RGB, "JPEG", exif=odd(3, 6, header=b"XX*\0")),
    "jpeg swapped exif": saved(RGB, "JPEG", exif=odd(3, 6, header=b"II\0*")),
    "png exif with its name": saved(RGB).replace(END, chunk(b"eXIf", turned(6)) + END),
    "png exif after the end": saved(RGB) + chunk(b"eXIf", turned(6)[6:]),
    "png 4 bits transparent": png4(9),
    "gif": saved(PALETTE, "GIF"),
    "gif 87": saved(PALETTE, "GIF", interlace=0),
    "gif transparent": saved(PALETTE, "GIF", transparency=3, comment=b"x" * 300),
    "gif animated": saved(PALETTE, "GIF", save_all=True, append_images=[GREY, PALETTE], loop=0),
    "gif local table": saved(PALETTE, "GIF", include_color_table=True, transparency=2),
    "bmp": saved(RGB, "BMP"),
    "bmp grey": saved(GREY, "BMP"),
    "bmp palette": saved(PALETTE, "BMP"),
    "bmp 32": saved(with_alpha(RGB), "BMP"),
} | {
    f"{kind} turned {value}": saved(RGB, kind.upper(), exif=turned(value, value % 2 == 0))
    for value in range(1, 9)
    for kind in ("jpeg", "png")
}


@pytest.fixture(scope="module")
def decode():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_files, "MOST_STEPS", 1000)
        function = tf.function(image_files.decode, input_signature=[tf.TensorSpec([], tf.string)])
        function.get_concrete_function()
    return function


@pytest.mark.parametrize("name", FILES)
def test_a_graph_reads_what_training_reads(decode, name):
    expected = read.read_image(io.BytesIO(FILES[name]), 3)
    assert np.array_equal(decode(FILES[name]).numpy(), expected)


def test_cmyk_differs_by_a_rounding(decode):
    file = saved(RGB.convert("CMYK"), "JPEG")
    expected = read.read_image(io.BytesIO(file), 3).astype(int)
    assert np.abs(decode(file).numpy() - expected).max() <= 2


def frames(*sizes: tuple[int, int]) -> bytes:
    """A GIF of 40x30 pixels with frames of their own sizes at the top left."""
    head = saved(Image.new("P", (40, 30)), "GIF")
    parts = []
    for size in sizes:
        file = saved(Image.new("P", size, 1), "GIF", palette=bytes(range(6)))
        parts.append(file[file.index(b"\x2c\0\0\0\0") : -1])
    start = head.index(b"\x2c\0\0\0\0")
    return head[:start] + b"".join(parts) + b";"


def test_frames_of_differing_sizes(decode):
    file = frames((40, 30), (10, 30), (64, 64))
    assert decode(file).shape == (30, 40, 3)
    for sizes in ([(10, 30)], [(64, 64), (40, 30)]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="does not fill"):
            decode(frames(*sizes))


WEBP = [Image.new("RGB", (96, 64), colour) for colour in ("red", "green", "blue")]
BAD = {
    "webp": saved(RGB, "WEBP"),
    "webp animated": saved(WEBP[0], "WEBP", save_all=True, append_images=WEBP[1:]),
    "tiff": saved(RGB, "TIFF"),
    "text": b"no image",
    "short": b"\x89P",
    "empty": b"",
    "bmp of 1 bit": saved(ONE_BIT, "BMP"),
    "bmp of ended header": b"BM" + bytes(9),
    "gif header": b"GIF89a",
    "jpeg header": b"\xff\xd8\xff",
    "png header": FILES["png"][:20],
} | {f"cut {name}": FILES[name][:-60] for name in ("png", "gif", "bmp")}


@pytest.mark.parametrize("name", BAD)
def test_other_bytes_are_refused(decode, name):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(BAD[name])
    assert decode(FILES["png"]).shape == (31, 44, 3)  # it is still there


def sized(name: str, width: int, height: int) -> bytes:
    """A file whose header claims a size."""
    data = bytearray(FILES[name])
    if name == "jpeg":
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = struct.pack(">HH", height, width)
    else:
        start, layout = {"png": (16, ">II"), "gif": (6, "<HH"), "bmp": (18, "<ii")}[name]
        data[start : start + struct.calcsize(layout)] = struct.pack(layout, width, height)
    if name == "png":
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize("name", ["png", "jpeg", "gif", "bmp"])
def test_the_reader_s_limits_hold_before_decoding(decode, name):
    sizes = [(12_000, 12_000), (0, 5)]
    sizes += [(65_536, 1), (1, 65_536)] if name in ("png", "bmp") else []
    sizes += [(2**31 - 1, 2**31 - 1)] if name in ("png", "bmp") else []
    sizes += [(5, -(2**31)), (-5, 5)] if name == "bmp" else []
    for width, height in sizes:
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            decode(sized(name, width, height))
        assert "too many pixels" in str(error.value) or (name, width) == ("jpeg", 0)


def test_loops_over_hostile_bytes_end(decode):
    start = FILES["gif"].index(b"\x2c\0\0\0\0")
    comment = FILES["gif"][:start] + b"\x21\xfe" + b"\x01\0" * 2000
    chunks = FILES["png"][:33] + chunk(b"teSt", b"") * 1001 + FILES["png"][33:]
    blocks = FILES["gif"][:start] + b"\x21\xfe" + b"\x01x" * 1001 + FILES["gif"][start:]
    for file in (comment, chunks, blocks):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(file)


@pytest.mark.parametrize(
    ("side", "target", "strip"),
    [
        *[(178, 128, 2**20), (178, 128, 700), (33, 32, 2**20), (640, 32, 2**20), (96, 32, 700)],
        *[(64, 64, 2**20), (20, 64, 2**20), (31, 128, 2**20), (1, 8, 2**20)],
    ],
)
def test_files_are_fitted_as_in_training(side, target, strip, monkeypatch):
    monkeypatch.setattr(image_files, "STRIP", strip)
    image = RANDOM.integers(0, 256, (side, side, 3), np.uint8)
    image[: side // 2] = image[: side // 2] // 128 * 255
    fitted = tf.function(image_files.fit_square)(tf.constant(image), target).numpy()
    difference = np.abs(fitted.astype(int) - fit.fit(image, target)).max()
    assert difference == 0 if side >= target else difference <= 1  # PIL's weights are rounded


def test_no_double_precision(decode):
    graph = decode.get_concrete_function().graph
    fitting = tf.function(lambda x: image_files.fit_square(x, 32)).get_concrete_function(
        tf.TensorSpec([None, None, 3], tf.uint8)
    )
    for function in (graph.as_graph_def(), fitting.graph.as_graph_def()):
        assert "DT_DOUBLE" not in str(function)
