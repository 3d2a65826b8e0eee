import numpy as np
import pytest
from PIL import Image

from alae_tf.images import warp


@pytest.fixture
def photo():
    """Smooth colours, 60 × 80."""
    y, x = np.mgrid[:60, :80] / 80
    return np.rint(255 * np.stack([x, y, 1 - x], axis=-1)).astype(np.uint8)


def turned(degrees):
    radians = np.radians(degrees)
    return warp.square(np.array([40.0, 30.0]), np.array([np.cos(radians), np.sin(radians)]), 32.0)


def test_corners_in_order():
    quad = warp.square(np.array([10.0, 20.0]), np.array([3.0, 0.0]), 4.0)
    np.testing.assert_allclose(quad, [[8, 18], [8, 22], [12, 22], [12, 18]])


def test_points_of_the_square_in_the_photo():
    quad = turned(33)
    there = warp.to_photo(quad, np.array([[0.0, 0.0], [1, 0], [0.25, 0.5]]))
    np.testing.assert_allclose(there[:2], quad[[0, 3]])
    across, down = quad[3] - quad[0], quad[1] - quad[0]
    np.testing.assert_allclose(there[2], quad[0] + across / 4 + down / 2)


def test_a_square_on_whole_pixels_is_cut_out_as_it_is(photo):
    cut = warp.crop(photo, turned(0), 32)
    np.testing.assert_array_equal(cut, photo[14:46, 24:56])


def test_a_quarter_turn_is_one(photo):
    cut = warp.crop(photo, turned(90), 32)
    assert np.abs(cut.astype(int) - np.rot90(photo[14:46, 24:56])).max() <= 1


def test_shrinking_takes_means():
    stripes = np.tile(np.array([[0], [255]], np.uint8).repeat(3, 1), (32, 64, 1)).reshape(64, 64, 3)
    quad = warp.square(np.array([32.0, 32.0]), np.array([1.0, 0.0]), 64.0)
    small = np.asarray(warp.warp(Image.fromarray(stripes), quad, 16))
    assert np.abs(small.astype(int) - 128).max() <= 1


def test_beyond_the_photo_is_its_mirror_image_and_smooth(photo):
    quad = warp.square(np.array([4.0, 30.0]), np.array([1.0, 0.0]), 32.0)
    cut = warp.crop(photo, quad, 32).astype(int)
    np.testing.assert_array_equal(cut[:, 12:], photo[14:46, :20])  # within: untouched
    np.testing.assert_allclose(cut[:, 11], photo[14:46, 1], atol=6)
    assert np.abs(np.diff(cut, axis=1)).max() < 16


def test_a_square_far_outside_of_a_tiny_photo():
    tiny = np.full([1, 2, 3], 77, np.uint8)
    quad = warp.square(np.array([30.0, -20.0]), np.array([1.0, 1.0]), 24.0)
    assert (warp.crop(tiny, quad, 8) == 77).all()


@pytest.mark.parametrize("degrees", [0, 20, 90])
def test_a_crop_put_back_changes_nothing(photo, degrees):
    quad = turned(degrees)
    pasted = warp.paste_back(photo, quad, warp.crop(photo, quad, 32))
    assert np.abs(pasted.astype(int) - photo).max() <= 2


def test_what_is_put_back_stays_in_its_square(photo):
    quad = turned(0)
    pasted = warp.paste_back(photo, quad, np.zeros([128, 128, 3], np.uint8))
    assert (pasted[20:40, 30:50] == 0).all()
    pasted[14:46, 24:56] = photo[14:46, 24:56]
    np.testing.assert_array_equal(pasted, photo)


def test_only_what_an_edit_changed_is_pasted(photo):
    quad, flat = turned(20), np.full([16, 16, 3], 100, np.uint8)
    np.testing.assert_array_equal(warp.paste_back(photo, quad, flat, flat), photo)
    edited = flat.copy()
    edited[4:12, 4:12, 0] += 9
    pasted = warp.paste_back(photo, quad, edited, flat).astype(int)
    x, y = np.rint(quad.mean(axis=0)).astype(int)
    whole = photo.astype(int)
    expected = np.minimum(whole[y, x] + (9, 0, 0), 255)
    np.testing.assert_allclose(pasted[y, x], expected, atol=1)  # the photo's own detail stays
    np.testing.assert_array_equal(pasted[..., 1:], whole[..., 1:])
