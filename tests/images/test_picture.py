import io

import numpy as np
from PIL import Image

from alae_tf.images import plots
from alae_tf.images.picture import lay_out, png, tile, to_pixels
from alae_tf.images.plots import loss_plot


def test_tiles_lie_in_reading_order():
    images = np.arange(24, dtype=np.uint8)[:, None, None, None] * np.ones((1, 64, 64, 1), np.uint8)
    picture = tile(images)
    assert picture.shape == (2 * 66, 12 * 66, 1)
    assert picture[33, 33] == 0
    assert picture[33, 66 + 33] == 1
    assert picture[66 + 33, 33] == 12
    assert picture[0, 0] == 128  # the frame


def test_a_picture_about_as_wide_as_high():
    images = np.arange(1, 6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 1), np.uint8)
    picture = lay_out(images)
    np.testing.assert_array_equal(picture[::2, ::3, 0], [[1, 2, 3], [4, 5, 0]])
    assert picture.shape == (4, 9, 1)
    np.testing.assert_array_equal(lay_out(images[:1]), images[0])


def test_pixels_are_those_of_tensorflow():
    """They stand in NumPy for devices, and in TensorFlow for servers."""
    from alae_tf.networks import ops

    images = np.linspace(-1.2, 1.2, 10_001, dtype=np.float32)
    np.testing.assert_array_equal(to_pixels(images), ops.to_pixels(images))
    np.testing.assert_array_equal(to_pixels(np.float32([-2, -1, 0, 1, 2])), [0, 0, 128, 255, 255])


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
    assert Image.open(io.BytesIO(loss_plot(rows, {"loss_d": "d", "loss_g": "g"}))).size == (
        900,
        450,
    )


def test_the_legend_hides_no_part_of_the_losses(monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "saved", lambda figure, *_, **__: drawn.append(figure))
    loss_plot([{"images_seen": "8", "level": "0", "d": "1", "g": "2"}], {"d": "D", "g": "G"})
    drawn[0].draw_without_rendering()
    (legend,), (axes,) = drawn[0].legends, drawn[0].axes
    assert axes.get_legend() is None
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())


def test_cells_without_a_number_are_gaps_of_the_plot():
    cells = ["1", "", None, "nan", "inf", "2"]
    rows = [{"images_seen": f"{i}", "level": "0", "d": cell} for i, cell in enumerate(cells)]
    rows += [{"images_seen": "9", "level": "1"}]
    for part in (rows, rows[1:5]):  # the second has no number at all
        assert loss_plot(part, {"d": "d", "g": "g"}).startswith(b"\x89PNG")


def test_what_wrote_a_picture():
    rows = [{"images_seen": "8", "level": "0", "d": "1"}]
    for file in (png(np.zeros([1, 1, 1], np.uint8), "me"), loss_plot(rows, {"d": "d"}, (), "me")):
        assert b"Software\0me" in file
        assert Image.open(io.BytesIO(file)).info["Software"] == "me"
