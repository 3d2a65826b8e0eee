import io

import numpy as np
from PIL import Image

from alae_tf.images.picture import png, tile
from alae_tf.images.plots import loss_plot


def test_tiles_lie_in_reading_order():
    images = np.arange(24, dtype=np.uint8)[:, None, None, None] * np.ones((1, 64, 64, 1), np.uint8)
    picture = tile(images)
    assert picture.shape == (2 * 66, 12 * 66, 1)
    assert picture[33, 33] == 0
    assert picture[33, 66 + 33] == 1
    assert picture[66 + 33, 33] == 12
    assert picture[0, 0] == 128  # the frame


def test_png_and_plot_can_be_opened():
    picture = np.zeros((5, 7, 1), np.uint8)
    assert Image.open(io.BytesIO(png(picture))).size == (7, 5)
    rows = [
        {
            "images_seen": str(i),
            "level": str(i // 2),
            "loss_d": "2",
            "loss_g": "1",
            "loss_latent": "3",
        }
        for i in range(4)
    ]
    assert Image.open(io.BytesIO(loss_plot(rows))).size == (900, 450)
