"""Crops squares of any angle and size from photographs, and pastes them back. No TensorFlow.

A square is given by its corners in pixels of the photograph, float [4, 2], x before y: top left,
bottom left, bottom right, top right. Pixel (0, 0) is the unit square whose top left is the origin.
"""

import numpy as np
from PIL import Image, ImageFilter

from alae_tf.images.picture import to_image

MOST_SIDE = 4096  # pixels of a square when drawn, before it is shrunk
FEATHER = 0.12  # width of the border in which a pasted crop fades in, in sides of the square
# The border of FFHQ's recipe (Karras et al., 2019): widths of the fading and of the blur, in sides
# of the square.
FADE, BLUR = 0.3, 0.02


def square(center: np.ndarray, across: np.ndarray, side: float) -> np.ndarray:
    """The square with sides of `side` pixels whose upper edge is parallel to `across`."""
    x = across / np.linalg.norm(across) * side / 2
    y = np.array([-x[1], x[0]])
    return np.stack([center - x - y, center - x + y, center + x + y, center + x - y])


def to_photo(quad: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Converts points [N, 2] in [0, 1] of a square to pixels of the photograph."""
    return quad[0] + points @ np.stack([quad[3] - quad[0], quad[1] - quad[0]])


def warp(image: Image.Image, quad: np.ndarray, side: int) -> Image.Image:
    """Draws a square of the image, `side` pixels wide; black outside the image.

    It is drawn larger and shrunk by area averaging, which avoids aliasing of fine patterns.
    """
    length = float(np.linalg.norm(quad[3] - quad[0]))
    shrink = max(1, int(length / MOST_SIDE))
    if shrink > 1:
        image, quad = image.reduce(shrink), quad / shrink
    finer = int(np.clip(np.ceil(length / shrink / side), 1, max(1, MOST_SIDE // side)))
    drawn = side * finer
    x, y = (quad[3] - quad[0]) / drawn, (quad[1] - quad[0]) / drawn
    # Like this module, PIL samples the middle of each pixel.
    data = (x[0], y[0], quad[0][0], x[1], y[1], quad[0][1])
    drawing = image.transform(
        (drawn, drawn), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC
    )
    return drawing.reduce(finer) if finer > 1 else drawing


def crop(photo: np.ndarray, quad: np.ndarray, side: int) -> np.ndarray:
    """Crops a square of a photo, uint8 [H, W, 3]: uint8 [side, side, 3].

    Outside the photograph it shows the mirror image, blurred as in FFHQ.
    """
    length = float(np.linalg.norm(quad[3] - quad[0]))
    shrink = max(1, int(length / side / 2))
    image = to_image(photo)
    if shrink > 1:
        image, quad, length = image.reduce(shrink), quad / shrink, length / shrink
    size = np.array(image.size)
    low = np.floor(quad.min(axis=0)).astype(int) - 2
    high = np.ceil(quad.max(axis=0)).astype(int) + 2
    before, after = np.maximum(-low, 0), np.maximum(high - size, 0)
    # At least one pixel, for the mirror image.
    low, high = np.clip(low, 0, size - 1), np.clip(high, 1, size)
    image = image.crop((*low.tolist(), *high.tolist()))
    if before.any() or after.any():
        margins = ((before[1], after[1]), (before[0], after[0]))
        image = to_image(_mirrored(np.asarray(image), margins, length))
    return np.asarray(warp(image, quad - low + before, side))


def _mirrored(
    pixels: np.ndarray, margins: tuple[tuple[int, int], tuple[int, int]], length: float
) -> np.ndarray:
    """Pads pixels, uint8 [H, W, 3], with their mirror image, increasingly blurred and fading to the
    median. `margins`: (top, bottom), (left, right); `length`: side of the square, in pixels."""
    wide = np.pad(pixels, (*margins, (0, 0)), "reflect" if min(pixels.shape[:2]) > 1 else "edge")
    image = to_image(wide)
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(BLUR * length)), np.float32)
    # The distance of each row and column from the photograph, in pixels; 0 inside.
    far = [
        np.maximum(before - np.arange(size + before + after), 0)
        + np.maximum(np.arange(size + before + after) - (before + size - 1), 0)
        for (before, after), size in zip(margins, pixels.shape[:2], strict=True)
    ]
    out = np.hypot(far[0][:, None], far[1][None, :])[..., np.newaxis] / (FADE * length)
    mixed = wide + (blurred - wide) * np.clip(3 * out, 0, 1)
    median = np.median(pixels, axis=(0, 1))
    mixed += (median - mixed) * np.clip(out - 0.5, 0, 1)
    return np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)


def paste_back(
    photo: np.ndarray, quad: np.ndarray, crop: np.ndarray, unedited: np.ndarray | None = None
) -> np.ndarray:
    """A photo, uint8 [H, W, 3], with a square replaced by a crop, uint8 [S, S, 3], which fades in
    from the square's edges.

    With `unedited`, the crop before an edit, only the difference between the two crops is added.
    What the edit does not change then stays as in the photo, at the photo's resolution.
    """
    length = float(np.linalg.norm(quad[3] - quad[0]))
    shrink = max(1, int(len(crop) / length))
    change = crop.astype(np.float32) - (0.0 if unedited is None else unedited)
    channels = [Image.fromarray(change[..., c]).reduce(shrink) for c in range(3)]
    side = channels[0].width
    # From pixels of the photograph to pixels of the crop.
    to = np.linalg.inv(np.stack([quad[3] - quad[0], quad[1] - quad[0]])) * side
    start = -quad[0] @ to
    data = (to[0, 0], to[1, 0], start[0], to[0, 1], to[1, 1], start[1])
    ramp = np.minimum(np.arange(side) + 0.5, side - 0.5 - np.arange(side)) / (FEATHER * side)
    ramp = np.clip(ramp, 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    mask = Image.fromarray(np.minimum.outer(ramp, ramp).astype(np.float32))
    how = ((photo.shape[1], photo.shape[0]), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC)
    *drawn, weight = (np.asarray(each.transform(*how)) for each in (*channels, mask))
    change = np.stack(drawn, axis=-1) - (photo if unedited is None else 0.0)
    pasted = photo + np.clip(weight, 0, 1)[..., np.newaxis] * change
    return np.rint(np.clip(pasted, 0, 255)).astype(np.uint8)
