"""Crops of faces as in well-known data sets. No TensorFlow."""

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
    """A square around a face, turned upright by the line of the eyes and the line to the mouth."""

    # The side as a multiple of the distance between the eyes, and of that from the middle of the
    # eyes to the middle of the mouth; the larger side is used.
    eyes: float
    mouth: float
    # Distance from the eyes to the middle of the square, as a multiple of that to the mouth.
    down: float

    def quad(self, points: np.ndarray) -> np.ndarray:
        """The corners of the square, float64 [4, 2], around points [5, 2]; see `Face.points`."""
        left, right, _, mouth_left, mouth_right = points.astype(np.float64)
        middle, across = (left + right) / 2, right - left
        down = (mouth_left + mouth_right) / 2 - middle
        # If the head looks aside or up, one of the two lines is oblique; their mean is upright.
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
    """The largest face in each photograph, uint8 [N, side, side, 3]; `name` is a key of `CROPS`.

    Photographs that cannot be read or show no face are left out with a warning. Raises ImageError
    if none is left, FaceError if the face detector is not installed.
    """
    find, crops, why = FaceFinder(), [], ""
    for file in files:
        try:
            photo = open_file(file, 3)
            faces = find(photo)
            why = f"{file}: no face found."
            if faces:
                crops.append(crop(photo, CROPS[name].quad(faces[0].points), side))
                continue
        except ImageError as error:
            why = str(error)
        report("left out", why)
    if not crops:
        raise ImageError(f"none of {len(files):,} photos shows a face; the last: {why}")
    return np.stack(crops)
