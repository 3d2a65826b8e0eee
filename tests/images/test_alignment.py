import numpy as np

from alae_tf.images.alignment import CROPS

POINTS = np.array([[40.0, 50.0], [60, 50], [50, 65], [45, 80], [55, 80]])


def test_the_crops_of_an_upright_face():
    # Eyes 20 apart, the mouth 30 below: FFHQ takes max(4.0 · 20, 3.6 · 30).
    quad = CROPS["ffhq"].quad(POINTS)
    np.testing.assert_allclose(quad, [[-4, -1], [-4, 107], [104, 107], [104, -1]], atol=1e-9)
    wide = POINTS * [2, 1]  # eyes 40 apart: 4.0 · 40
    np.testing.assert_allclose(np.ptp(CROPS["ffhq"].quad(wide), axis=0), 160)
    tight = CROPS["celeba"].quad(POINTS)
    np.testing.assert_allclose(np.ptp(tight, axis=0), 3.16 * 30)


def test_crops_turn_with_the_face():
    angle = np.radians(30)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for crop in CROPS.values():
        np.testing.assert_allclose(crop.quad(POINTS @ turn), crop.quad(POINTS) @ turn, atol=1e-9)
