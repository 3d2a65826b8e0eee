"""Tables of images with labels, and their files: PNG, GIF, WebP, PDF. No TensorFlow."""

import io
import time
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from alae_tf.images.picture import SMALLEST, to_image
from alae_tf.system.errors import printable

FORMATS = ("png", "gif", "webp", "pdf")
ANIMATED = ("gif", "webp")
GAP = 2  # pixels between images
MARGIN = 8  # around the whole, and beside labels
FONT = 15  # pixels
LONGEST_LABEL = 240  # pixels
WHITE, INK = 255, (40, 40, 40)

Cells = Sequence[Sequence[np.ndarray | None]]


def table(cells: Cells, left: Sequence[str] = (), top: Sequence[str] = ()) -> np.ndarray:
    """Images in rows, with labels: uint8 [H', W', 3].

    Args:
        cells: rows of uint8 images [H, W, 1 or 3], all of one size; None leaves a cell white.
            Images below 64 px are enlarged by repeating pixels.
        left: a label for each row.
        top: a label for each column; labels wider than the column are shortened.
    """
    height, width = next(cell.shape[:2] for row in cells for cell in row if cell is not None)
    factor = max(1, SMALLEST // height)
    height, width = height * factor, width * factor
    # DejaVu Sans comes with matplotlib and has the letters of most languages.
    font = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", FONT)
    lefts = [_shorten(text, font, LONGEST_LABEL) for text in left]
    start_x = MARGIN + (max(map(font.getlength, lefts), default=-MARGIN) + MARGIN if left else 0)
    start_x, start_y = int(start_x), MARGIN + (FONT + MARGIN if any(top) else 0)
    columns = max(map(len, cells))
    end_x = start_x + columns * (width + GAP) - GAP + MARGIN
    end_y = start_y + len(cells) * (height + GAP) - GAP + MARGIN
    canvas = Image.new("RGB", (end_x, end_y), (WHITE,) * 3)
    draw = ImageDraw.Draw(canvas)
    for j, text in enumerate(top):
        text = _shorten(text, font, width + GAP)
        middle = start_x + j * (width + GAP) + width // 2
        draw.text((middle, MARGIN + FONT // 2), text, INK, font, anchor="mm")
    for i, row in enumerate(cells):
        y = start_y + i * (height + GAP)
        if i < len(lefts):
            draw.text((start_x - MARGIN, y + height // 2), lefts[i], INK, font, anchor="rm")
        for j, cell in enumerate(row):
            if cell is not None:
                large = cell.repeat(factor, axis=0).repeat(factor, axis=1)
                canvas.paste(to_image(large), (start_x + j * (width + GAP), y))
    return np.asarray(canvas)


def beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures uint8 [H, W, 3] side by side, aligned at the top, on white."""
    height = max(len(each) for each in pictures)
    padded = [
        np.pad(each, [(0, height - len(each)), (0, 0), (0, 0)], constant_values=WHITE)
        for each in pictures
    ]
    return np.concatenate(padded, axis=1)


def below(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures uint8 [H, W, 3] one below the other, aligned at the left, on white."""
    turned = beside([each.transpose(1, 0, 2) for each in pictures])
    return np.ascontiguousarray(turned.transpose(1, 0, 2))


def encode(frames: Sequence[np.ndarray], kind: str, seconds: float = 0.1) -> bytes:
    """The bytes of an image file of a kind in `FORMATS`; the same frames give the same bytes.

    `frames` are pictures uint8 [H, W, 3] of one size: one for PNG, the frames of a looping
    animation for GIF and WebP, shown for `seconds` each, the pages for PDF.
    """
    first, *rest = [Image.fromarray(frame) for frame in frames]
    day = time.gmtime(0)  # a fixed date keeps the bytes the same
    moving = dict(save_all=True, append_images=rest, loop=0, duration=round(1000 * seconds))
    how: dict[str, Any] = {
        "png": dict(optimize=True),
        "pdf": dict(save_all=True, append_images=rest, creationDate=day, modDate=day),
        "gif": moving,
        "webp": dict(moving, lossless=True),
    }
    file = io.BytesIO()
    first.save(file, kind.upper(), **how[kind])
    return file.getvalue()


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """A string as one line of at most `width` pixels."""
    whole = text = printable(text.replace("\n", " "))
    while text and font.getlength(text + "…" * (text != whole)) > width:
        text = text[:-1]
    return text if text == whole else text + "…"
