import numpy as np

from alae_tf.images import canvas
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from alae_tf.training import sampler


def test_grid_shows_originals_over_reconstructions_with_captions(small):
    model = Autoencoder(small, build_alae(small))
    originals = np.full((12, 8, 8, 1), 77, np.uint8)
    grid = sampler.sample_grid(model, originals)
    again, new = model.reconstruct(originals), model.generate(12)
    rows = [list(each) for each in (originals, again, new)]
    captions = ["photograph", "reconstruction", "generated"]
    np.testing.assert_array_equal(grid, canvas.table(rows, captions))
    cells = grid[canvas.MARGIN :, -canvas.MARGIN - 64 : -canvas.MARGIN]  # the last column
    assert (cells[:64] == 77).all()
    assert (cells[66:130] == again[-1].repeat(8, 0).repeat(8, 1)).all()
    assert (grid[: canvas.MARGIN + 64, :100] < 128).any()  # the first caption
