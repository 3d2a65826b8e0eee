"""Faces cut out as a data set has them. No TensorFlow."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from os import PathLike

import numpy as np

from alae_tf.images.faces import FaceFinder
from alae_tf.images.files import ImageError, open_file
from alae_tf.images.warp import crop, square
from alae_tf.system.errors import printable


@dataclasses.dataclass(frozen=True)
class Crop:
    """A square about a face; upright on both the line of the eyes and that from eyes to mouth.

    Attributes:
        eyes, mouth: the side in distances between the eyes, and in distances from the middle of
            the eyes to that of the mouth; the larger of the two holds.
        down: from the middle of the eyes to that of the square, in distances to the mouth.
    """

    eyes: float
    mouth: float
    down: float

    def quad(self, points: np.ndarray) -> np.ndarray:
        """The corners of the square, float64 [4, 2].

        Args:
            points: [5, 2] as of `alae_tf.images.faces.Face.points`.
        """
        left, right, _, mouth_left, mouth_right = points.astype(np.float64)
        middle, across = (left + right) / 2, right - left
        down = (mouth_left + mouth_right) / 2 - middle
        # A head that looks aside or up makes one of the two oblique; their mean is upright.
        upright = across + np.array([down[1], -down[0]])
        side = max(np.linalg.norm(across) * self.eyes, np.linalg.norm(down) * self.mouth)
        return square(middle + self.down * down, upright, float(side))


CROPS = {
    # FFHQ's (Karras et al., 2019, appendix A).
    "ffhq": Crop(4.0, 3.6, 0.1),
    # The 128 px in the middle of CelebA's aligned images, as the paper's CelebA run has them.
    "celeba": Crop(3.33, 3.16, 0.234),
    # That of the faces which models/faces64 has seen, Labeled Faces in the Wild at 128 px: measured
    # on 323 of them.
    "lfw": Crop(3.24, 3.11, 0.277),
}


def read_faces(files: Sequence[str | PathLike], name: str, side: int) -> np.ndarray:
    """The largest face of each photograph; those without one, and those that
    cannot be read, are told and left out.

    Args:
        files: as `alae_tf.images.files.find` gives them.
        name: of the crop, of `CROPS`.
        side: pixels.

    Returns:
        uint8 [N, side, side, 3].

    Raises:
        ImageError: none can be read, or shows a face.
        FaceError: what finds faces is not installed.
    """
    find, crops = FaceFinder(), []
    for file in files:
        try:
            photo = open_file(file, 3)
        except ImageError as error:
            if file == files[-1] and not crops:
                raise
            print(printable(f"left out: {error}"), file=sys.stderr)
            continue
        faces = find(photo)
        if faces:
            crops.append(crop(photo, CROPS[name].quad(faces[0].points), side))
        else:
            print(printable(f"{file}: no face found; left out."), file=sys.stderr)
    if not crops:
        raise ImageError(f"{files[0]}: no face found{' in it or the others' * (len(files) > 1)}.")
    return np.stack(crops)
