"""What every source of images has in common: random access by index, and the fit to a square."""

import abc
import sys

import numpy as np
from PIL import Image

DIGIT, PADDED_DIGIT = 28, 32


class DataError(ValueError):
    """The images asked for cannot be had.

    The message is whole by itself (the flag or file, what is wrong, what would be right), so that
    an entry point prints it without a traceback.
    """


class Source(abc.ABC):
    """Images that can be read in any order, from several threads at once.

    Attributes:
        uri: what the user typed after --data=.
        channels: 1 (grey) or 3 (RGB), the same for every image.
        labels: int64 [len], or None if the images have no classes.
        held_out: a Source of images that training never sees, or None.
    """

    uri: str
    channels: int
    labels: np.ndarray | None = None
    held_out: "Source | None" = None

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abc.abstractmethod
    def image(self, index: int) -> np.ndarray:
        """Image `index` (0 to len - 1), decoded and upright: uint8 [H, W, channels], any size.

        Raises:
            DataError: the image cannot be read.
        """


def fit(image: np.ndarray, resolution: int) -> np.ndarray:
    """Makes an image square and `resolution` pixels wide.

    The centre square is cut out and resized in one go: to a smaller size with PIL's box filter
    (each pixel is the plain mean of the pixels it covers, rounded along rows and then along
    columns), to a larger one with PIL's bicubic.

    Digits: a 28x28 image stays as it is at resolution 28. At every other resolution it first gets
    2 black pixels on each side, so that it halves evenly from 32 on: at 16 a digit is the mean of
    2x2 blocks of the padded image.

    Args:
        image: uint8 [H, W, C], C = 1 or 3.
        resolution: pixels.

    Returns:
        uint8 [resolution, resolution, C].
    """
    height, width, channels = image.shape
    if height == width == DIGIT != resolution:
        padded = np.zeros([PADDED_DIGIT, PADDED_DIGIT, channels], np.uint8)
        padded[2:-2, 2:-2] = image
        image, height, width = padded, PADDED_DIGIT, PADDED_DIGIT
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side]
    if side == resolution:
        return image
    filter_ = Image.Resampling.BOX if side > resolution else Image.Resampling.BICUBIC
    square = Image.fromarray(image[..., 0] if channels == 1 else image)
    resized = np.asarray(square.resize((resolution, resolution), filter_))
    return resized.reshape(resolution, resolution, channels)


def split_query(uri: str, argument: str, allowed: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Splits "PATH?key=value&key=value" into the path and its options.

    Raises:
        DataError: an option that is not in `allowed`, or one without a value.
    """
    path, _, query = argument.partition("?")
    options = dict(item.partition("=")[::2] for item in query.split("&") if item)
    for key, value in options.items():
        if key not in allowed or not value:
            raise DataError(
                f"--data={uri}: option '{key}={value}' is not understood. "
                f"What can follow the question mark: {', '.join(f'{name}=…' for name in allowed)}."
            )
    return path, options


def report(message: str) -> None:
    """Tells the user, on stderr, something that does not stop the work."""
    print(message, file=sys.stderr)
