"""Crops of faces as in well-known data sets. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from os import PathLike

import numpy as np

from alae_tf.images.faces import FaceFinder
from alae_tf.images.files import ImageError, open_file
from alae_tf.images.warp import crop, square
from alae_tf.system.errors import report


@dataclasses.dataclass(frozen=True)
class Crop:
    """A square around a face, turned upright by the line of the eyes and the line to the mouth.

    Attributes:
        eyes, mouth: the side as a multiple of the distance between the eyes, and of the distance
            from the middle of the eyes to the middle of the mouth; the larger side is used.
        down: how far the middle of the square is below the middle of the eyes, as a multiple of
            the distance to the mouth.
    """

    eyes: float
    mouth: float
    down: float

    def quad(self, points: np.ndarray) -> np.ndarray:
        """The corners of the square, float64 [4, 2].

        Args:
            points: [5, 2], see `alae_tf.images.faces.Face.points`.
        """
        left, right, _, mouth_left, mouth_right = points.astype(np.float64)
        middle, across = (left + right) / 2, right - left
        down = (mouth_left + mouth_right) / 2 - middle
        # If the head looks aside or up, one of the two is oblique; their mean is upright.
        upright = across + np.array([down[1], -down[0]])
        side = max(np.linalg.norm(across) * self.eyes, np.linalg.norm(down) * self.mouth)
        return square(middle + self.down * down, upright, float(side))


CROPS = {
    # FFHQ's (Karras et al., 2019, appendix A).
    "ffhq": Crop(4.0, 3.6, 0.1),
    # The middle 128 px of CelebA's aligned images, as in the paper's CelebA run.
    "celeba": Crop(3.33, 3.16, 0.234),
    # The training images of models/faces64 (Labeled Faces in the Wild), measured on 323 of them.
    "lfw": Crop(3.24, 3.11, 0.277),
}


def read_faces(files: Sequence[str | PathLike], name: str, side: int) -> np.ndarray:
    """The largest face in each photograph.

    Photographs that cannot be read or show no face are left out with a warning.

    Args:
        files: see `alae_tf.images.files.find`.
        name: the crop, a key of `CROPS`.
        side: pixels.

    Returns:
        uint8 [N, side, side, 3].

    Raises:
        ImageError: no photograph can be read and shows a face.
        FaceError: the detector of faces is not installed.
    """
    find, crops = FaceFinder(), []
    for file in files:
        try:
            photo = open_file(file, 3)
        except ImageError as error:
            if file == files[-1] and not crops:
                raise
            report("left out", str(error))
            continue
        faces = find(photo)
        if faces:
            crops.append(crop(photo, CROPS[name].quad(faces[0].points), side))
        else:
            report("left out", f"{file}: no face found.")
    if not crops:
        raise ImageError(f"{files[0]}: no face found{' in it or the others' * (len(files) > 1)}.")
    return np.stack(crops)
