import io

import numpy as np
import pytest
from PIL import Image

from alae_tf.images import canvas


def plain(value, side=64, channels=3):
    return np.full((side, side, channels), value, np.uint8)


def test_images_stand_where_they_should():
    cells = [[plain(10), plain(20)], [None, plain(40)]]
    picture = canvas.table(cells)
    assert picture.shape == (2 * 64 + 2 + 16, 2 * 64 + 2 + 16, 3)
    for (y, x), value in {(0, 0): 10, (0, 66): 20, (66, 0): 255, (66, 66): 40}.items():
        assert (picture[8 + y : 8 + y + 64, 8 + x : 8 + x + 64] == value).all()


def test_small_grey_images_are_enlarged_and_labels_stand_beside_them():
    picture = canvas.table([[plain(0, 16, 1)]], ["a label"], ["top"])
    ink = (picture < 250).any(axis=2)
    box = ink[-8 - 64 : -8, -8 - 64 : -8]
    assert box.all() and ink.sum() > box.sum()  # 16 px drawn at 64, and some letters
    assert ink[: -8 - 64].any() and ink[:, : -8 - 64].any()


def test_long_labels_are_cut_short():
    wide = canvas.table([[plain(0)]], ["word " * 200])
    assert wide.shape[1] < canvas.LONGEST_LABEL + 64 + 5 * canvas.MARGIN
    assert canvas.table([[plain(0)]], top=["word " * 200]).shape[1] == 64 + 16


def test_beside_and_below():
    a, b = plain(1, 4), plain(2, 6)
    assert canvas.beside([a, b]).shape == (6, 10, 3)
    assert (canvas.beside([a, b])[4:, :4] == 255).all()
    assert canvas.below([a, b]).shape == (10, 6, 3)
    assert (canvas.below([a, b])[4:] == 2).all()


@pytest.mark.parametrize("kind", canvas.FORMATS)
def test_the_same_frames_give_the_same_bytes(kind):
    frames = [plain(value) for value in ((10,) if kind == "png" else (10, 200, 90))]
    data = canvas.encode(frames, kind, seconds=0.2)
    assert data == canvas.encode(frames, kind, seconds=0.2)
    if kind == "pdf":
        assert data.startswith(b"%PDF") and data.count(b"/Type /Page\n") == 3
        return
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (64, 64) and getattr(image, "n_frames", 1) == len(frames)
        for i, frame in enumerate(frames):
            image.seek(i)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), frame)
        if kind != "png":
            assert image.info["loop"] == 0 and image.info["duration"] == 200
