"""Reads image files inside a graph, for servers, bit-equal to `alae_tf.images.read` and `.fit`.

The bytes come from strangers. They reach only the decoder that their first bytes name, after the
size in their header was checked. Large images are processed in strips of rows, which limits the
memory to twice the decoded pixels.
"""

import functools
from collections.abc import Callable

import tensorflow as tf
from PIL import Image

from alae_tf.images.read import MOST_SIDE

STRIP = 2**20  # pixels at a time
MOST_STEPS = 2**16  # chunks, segments or blocks of a file, at some 50 µs each; more are refused
MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "gif": b"GIF8", "bmp": b"BM"}
BOX_BITS = 22  # PIL's weights are whole numbers of this many bits


@tf.autograph.experimental.do_not_convert  # converting takes most of the time of tracing
def decode(data: tf.Tensor) -> tf.Tensor:
    """Decodes a PNG, JPEG, GIF (its first frame) or BMP file: string → uint8 [H, W, 3].

    The image is turned upright as its EXIF says and composited on white. The graph fails with
    InvalidArgumentError on other files, and on those too large for `alae_tf.images.read`.
    """
    raw = tf.io.decode_raw(data, tf.uint8)  # [bytes]
    kinds = tf.stack([_is(raw, 0, magic) for magic in MAGIC.values()])
    kinds = _checked(kinds, (tf.reduce_any(kinds), "is not a PNG, JPEG, GIF or BMP file"))
    branches = [lambda decoder=decoder: decoder(data, raw) for decoder in (_png, _jpeg, _gif, _bmp)]
    image = tf.switch_case(tf.argmax(tf.cast(kinds, tf.int32), output_type=tf.int32), branches)
    return tf.ensure_shape(image, [None, None, 3])


@tf.autograph.experimental.do_not_convert  # converting takes most of the time of tracing
def fit_square(image: tf.Tensor, target: int) -> tf.Tensor:
    """Resizes like `alae_tf.images.fit.fit`: uint8 [side, side, C] → uint8 [target, target, C]."""
    side = tf.shape(image)[0]
    fitted = tf.cond(
        side > target, lambda: _shrink(image, side, target), lambda: _enlarge(image, side, target)
    )
    return tf.ensure_shape(fitted, [target, target, image.shape[-1]])


def _checked(value: tf.Tensor, *checks: tuple[tf.Tensor, str]) -> tf.Tensor:
    """The value; the graph fails if the condition of a check does not hold."""
    asserts = [tf.debugging.Assert(holds, [f"image_bytes: {why}"]) for holds, why in checks]
    with tf.control_dependencies(asserts):
        return tf.identity(value)


def _fits(width: tf.Tensor, height: tf.Tensor) -> tuple[tf.Tensor, str]:
    """A check of the limits of `alae_tf.images.read.open_image`."""
    width, height = tf.cast(width, tf.int64), tf.cast(height, tf.int64)
    most = tf.cast(Image.MAX_IMAGE_PIXELS or MOST_SIDE**2, tf.int64)
    sides = (tf.minimum(width, height) > 0) & (tf.maximum(width, height) <= MOST_SIDE)
    # The product of two sides of 2³² would overflow, hence the sides first.
    fits = tf.cond(sides, lambda: width * height <= most, lambda: False)
    return fits, f"a side above {MOST_SIDE:,} or too many pixels"


def _png(data: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
    data = _checked(data, _fits(*(_number(raw, start, 4, big=True) for start in (16, 20))))

    def step(at: tf.Tensor, start: tf.Tensor, end: tf.Tensor, transparency: tf.Tensor):
        following = at + 12 + _number(raw, at, 4, big=True)
        found = _is(raw, at + 4, b"eXIf")
        return (
            following,
            tf.where(found, at + 8, start),
            tf.where(found, following - 4, end),
            tf.where(_is(raw, at + 4, b"tRNS"), at, transparency),
        )

    def before_end(at: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return (at < tf.size(raw, tf.int64)) & ~_is(raw, at + 4, b"IEND")

    _, start, end, transparency = _walk(before_end, step, 8, 0, 0, 0)
    depth, colour = _number(raw, 24, 1), _number(raw, 25, 1)
    # For files below 8 bits, TensorFlow adds an alpha below 255 where the file has none.
    opaque = (depth < 8) & (transparency == 0)

    def rounded() -> tf.Tensor:
        wide = tf.io.decode_png(data, channels=1, dtype=tf.uint16)
        grey = _in_strips(lambda part: (tf.cast(part, tf.int32) * 255 + 32767) // 65535, wide, 1)
        return tf.tile(grey, [1, 1, 3])

    def on_white() -> tf.Tensor:
        image = tf.io.decode_png(data, channels=4)
        solid = opaque | tf.reduce_all(image[..., 3] == 255)
        return tf.cond(solid, lambda: image[..., :3], lambda: _in_strips(_on_white, image, 3))

    image = tf.cond((depth == 16) & (colour == 0), rounded, on_white)
    return _upright(image, raw[start:end])


def _jpeg(data: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
    height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(data), num=3)
    data = _checked(data, _fits(width, height))
    image = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")

    def step(at: tf.Tensor, start: tf.Tensor, end: tf.Tensor):
        filling = _is(raw, at, b"\xff\xff")
        following = at + tf.where(~filling, 2 + _number(raw, at + 2, 2, big=True), 1)
        found = _is(raw, at + 1, b"\xe1") & _is(raw, at + 4, b"Exif\0\0") & (start == 0)
        return following, tf.where(found, at + 10, start), tf.where(found, following, end)

    def before_pixels(at: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return _is(raw, at, b"\xff") & ~_is(raw, at + 1, b"\xda") & ~_is(raw, at + 1, b"\xd9")

    _, start, end = _walk(before_pixels, step, 2, 0, 0)
    return _upright(image, raw[start:end])


def _gif(data: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
    """Decodes the first frame alone, since TensorFlow's decoder holds all frames at once. It draws
    nothing where a frame is transparent, so the transparent colour becomes white."""

    def table(flags: tf.Tensor) -> tf.Tensor:
        """The size of a colour table, in bytes."""
        size = 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8)
        return tf.where(flags >= 128, size, 0)

    def skip_blocks(at: tf.Tensor) -> tf.Tensor:
        (end,) = _walk(
            lambda at: _number(raw, at, 1) > 0, lambda at: (at + 1 + _number(raw, at, 1),), at
        )
        return end + 1

    def step(at: tf.Tensor, transparent: tf.Tensor):
        is_control, flags = _is(raw, at + 1, b"\xf9"), _number(raw, at + 3, 1)
        index = tf.where(flags % 2 == 1, _number(raw, at + 6, 1), -1)
        return skip_blocks(at + 2), tf.where(is_control, index, transparent)

    head = 13 + table(_number(raw, 10, 1))
    at, transparent = _walk(lambda at, _: _is(raw, at, b"\x21"), step, head, -1)
    local = table(_number(raw, at + 9, 1))
    screen = [_number(raw, start, 2) for start in (6, 8)]
    frame = [_number(raw, at + start, 2) for start in (1, 3, 5, 7)]
    whole = tf.reduce_all(tf.stack(frame) == tf.stack([0, 0, *screen]))
    has_picture = _is(raw, at, b"\x2c"), "a GIF file without a picture"
    fills = whole, "a GIF whose first frame does not fill it"
    at = _checked(at, _fits(*screen), has_picture, fills)
    end = skip_blocks(at + 10 + local + 1)
    part, nothing = tf.strings.substr, tf.constant(0, tf.int64)
    single = tf.strings.join([part(data, nothing, head), part(data, at, end - at), b"\x3b"])
    colour = tf.where(local > 0, head + 10, 13) + 3 * transparent  # its place in this frame's table
    in_table = (transparent >= 0) & (3 * transparent < tf.where(local > 0, local, head - 13))

    def whitened() -> tf.Tensor:
        before, after = part(single, nothing, colour), part(single, colour + 3, end)
        return tf.strings.join([before, b"\xff\xff\xff", after])

    return tf.io.decode_gif(tf.cond(in_table, whitened, lambda: single))[0]


def _bmp(data: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
    header, width, height = (_number(raw, start, 4) for start in (14, 18, 22))
    height = tf.where(height >= 2**31, 2**32 - height, height)  # negative: the top row first
    bits, compression = _number(raw, 28, 2), _number(raw, 30, 4)
    plain = (header >= 40) & (compression == 0) & tf.reduce_any(bits == [8, 24, 32])
    what = "a BMP file that is compressed or not of 8, 24 or 32 bits"
    image = tf.io.decode_bmp(_checked(data, _fits(width, height), (plain, what)))

    def coloured() -> tf.Tensor:
        count = tf.minimum(_number(raw, 46, 4), 256)
        count = tf.where(count > 0, count, 256)
        start = 14 + header
        table = tf.reshape(raw[start : start + 4 * count], [-1, 4])[:, 2::-1]  # from B, G, R, 0
        table = tf.pad(table, [[0, 256 - tf.shape(table)[0]], [0, 0]])
        return _in_strips(lambda part: tf.gather(table, tf.cast(part[..., 0], tf.int32)), image, 3)

    return tf.cond(bits == 8, coloured, lambda: image[..., :3])


def _upright(image: tf.Tensor, exif: tf.Tensor) -> tf.Tensor:
    """The image [H, W, C], turned as its EXIF says: uint8 [bytes], beginning with the TIFF header;
    may be empty or damaged."""
    exif = tf.cond(_is(exif, 0, b"Exif\0\0"), lambda: exif[6:], lambda: exif)  # some PNG files
    big, little = _is(exif, 0, b"MM"), _is(exif, 0, b"II")
    places = tf.where(big, tf.constant([256, 1], tf.int64), tf.constant([1, 256], tf.int64))

    def number(start: tf.Tensor | int, width: int) -> tf.Tensor:
        return tf.where(big, _number(exif, start, width, big=True), _number(exif, start, width))

    start = number(4, 4)
    fields = exif[start + 2 : start + 2 + 12 * number(start, 2)]
    fields = tf.cast(fields[: tf.size(fields) // 12 * 12], tf.int64)
    words = tf.reduce_sum(tf.reshape(fields, [-1, 6, 2]) * places, axis=2)
    tag, kind, *halves = tf.unstack(words, 6, axis=1)
    count, value = (
        tf.where(big, a * 65536 + b, b * 65536 + a) for a, b in (halves[:2], halves[2:])
    )
    short, long = (  # types of 2 and of 4 bytes
        tf.reduce_any(kind[:, tf.newaxis] == kinds, axis=1) for kinds in ([3, 8], [4, 9, 13])
    )
    byte = kind == 6  # signed, the first of four; PIL takes no other for a number
    inline = (count == 1) & (short | long | byte) | (count == 2) & short
    valid = (big | little) & tf.reduce_any(number(2, 2) == [42, 42 * 256])  # in either byte order
    first = tf.where(big, halves[2] // 256, halves[2] % 256)
    value = tf.where(short, halves[2], tf.where(byte, first, value))
    values = tf.boolean_mask(value, inline & (tag == 0x0112) & valid)
    value = tf.concat([values, [0]], 0)[0]
    for values, change in (
        ([5, 6, 7, 8], lambda image: tf.transpose(image, [1, 0, 2])),
        ([3, 4, 7, 8], lambda image: tf.reverse(image, [0])),
        ([2, 3, 6, 7], lambda image: tf.reverse(image, [1])),
    ):
        applies = tf.reduce_any(value == values)
        image = tf.cond(applies, functools.partial(change, image), lambda image=image: image)
    return image


def _on_white(part: tf.Tensor) -> tf.Tensor:
    """[h, W, RGBA] → int32 [h, W, RGB], in PIL's arithmetic."""
    part = tf.cast(part, tf.int32)
    alpha = part[..., 3:]
    total = 128 * (part[..., :3] * alpha + 255 * (255 - alpha) + 128)
    return (total // 256 + total) // 2**15


def _shrink(image: tf.Tensor, side: tf.Tensor, target: int) -> tf.Tensor:
    """Averages areas; rounded along rows and then along columns."""
    edges = tf.range(target + 1) * side  # in 1/target of a pixel
    pixel = edges // target  # the pixel that an edge lies in; for the last edge one too far
    share = (edges - pixel * target)[:, tf.newaxis]
    ratio = side // target
    weight = (2 ** (BOX_BITS + 1) + ratio) // (2 * ratio)

    def means(part: tf.Tensor) -> tf.Tensor:
        part = tf.cast(part, tf.int32)  # [h, side, C]
        sums = tf.gather(tf.pad(tf.cumsum(part, axis=1), [[0, 0], [1, 0], [0, 0]]), pixel, axis=1)
        sums = sums[:, 1:] - sums[:, :-1]  # [h, target, C]

        def exact() -> tf.Tensor:
            cut = share * tf.gather(part, tf.minimum(pixel, side - 1), axis=1)
            total = sums * target + cut[:, 1:] - cut[:, :-1]
            return (2 * total + side) // (2 * side)

        def box() -> tf.Tensor:  # for whole ratios `fit` calls PIL
            return (sums * weight + 2 ** (BOX_BITS - 1)) // 2**BOX_BITS

        return tf.cond(side % target == 0, box, exact)

    for _ in range(2):
        image = tf.transpose(_in_strips(means, image, image.shape[-1]), [1, 0, 2])
    return image


def _enlarge(image: tf.Tensor, side: tf.Tensor, target: int) -> tf.Tensor:
    """PIL's bicubic (Keys' kernel, a = −1/2); rounded along rows and then along columns."""
    new, old = tf.range(target)[:, tf.newaxis], tf.range(side)[tf.newaxis]
    distance = tf.abs((2 * old + 1) * target - (2 * new + 1) * side)  # in 1/(2 target) pixels
    x = tf.cast(distance, tf.float32) / (2.0 * target)
    near, far = (1.5 * x - 2.5) * x * x + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    weights = tf.where(x < 1, near, tf.where(x < 2, far, 0.0))  # [target, side]
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    for _ in range(2):
        image = tf.einsum("ik,hkc->ihc", weights, tf.cast(image, tf.float32))
        image = tf.floor(tf.clip_by_value(image + 0.5, 0.0, 255.0))
    return tf.cast(image, tf.uint8)


def _in_strips(
    function: Callable[[tf.Tensor], tf.Tensor], image: tf.Tensor, channels: int
) -> tf.Tensor:
    """Applies a function to an image [H, W, C], some rows at a time: uint8 [H, W', channels]. The
    function maps integers [h, W, C] to whole numbers from 0 to 255, [h, W', channels]."""
    height, width = tf.unstack(tf.shape(image)[:2])
    rows = tf.maximum(1, STRIP // width)
    count = (height + rows - 1) // rows
    shape = [None, None, channels]
    strips = tf.TensorArray(tf.uint8, count, infer_shape=False, element_shape=shape)

    def step(i: tf.Tensor, strips: tf.TensorArray):
        part = function(image[i * rows : (i + 1) * rows])
        return i + 1, strips.write(i, tf.cast(part, tf.uint8))

    _, strips = tf.while_loop(lambda i, _: i < count, step, (0, strips), parallel_iterations=1)
    return tf.ensure_shape(strips.concat(), shape)


def _walk(condition: Callable, step: Callable, *start) -> list[tf.Tensor]:
    """Repeats a step on int64 numbers while a condition holds, at most `MOST_STEPS` times."""
    begin = [tf.cast(value, tf.int64) for value in start]
    end = tf.while_loop(
        condition, step, begin, maximum_iterations=MOST_STEPS, parallel_iterations=1
    )
    ended = (~condition(*end), "too many parts")
    return [_checked(value, ended) for value in end]


def _bytes(raw: tf.Tensor, start: tf.Tensor | int, width: int) -> tf.Tensor:
    """uint8 [width] from `start` on; zeros after the end."""
    start = tf.minimum(tf.cast(start, tf.int64), tf.size(raw, tf.int64))
    part = raw[start : start + width]
    return tf.pad(part, [[0, width - tf.size(part)]])


def _is(raw: tf.Tensor, start: tf.Tensor | int, expected: bytes) -> tf.Tensor:
    return tf.reduce_all(_bytes(raw, start, len(expected)) == list(expected))


def _number(raw: tf.Tensor, start: tf.Tensor | int, width: int, big: bool = False) -> tf.Tensor:
    """An unsigned number of `width` bytes, as int64."""
    places = [256**k for k in range(width)]
    places = tf.constant(places[::-1] if big else places, tf.int64)
    return tf.reduce_sum(tf.cast(_bytes(raw, start, width), tf.int64) * places)
