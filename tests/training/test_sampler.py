import numpy as np

from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from alae_tf.training import sampler


def test_grid_shows_originals_over_reconstructions(small):
    model = Autoencoder(small, build_alae(small))
    originals = np.full((12, 8, 8, 1), 77, np.uint8)
    grid = sampler.sample_grid(model, originals)
    assert grid.shape == (3 * 66 + 8, 12 * 66, 1)
    assert (grid[1:65, 1:65] == 77).all()
    expected = model.reconstruct(originals)[0].repeat(8, 0).repeat(8, 1)
    assert (grid[67:131, 1:65] == expected).all()
    assert (grid[132:140] == 255).all()
