from types import SimpleNamespace

import numpy as np
import pytest

from alae_tf.evaluation import found
from alae_tf.evaluation.found import nearest_is_own
from alae_tf.evaluation.samples import Protocol, Samples
from tests.helpers.fakes import Images


class Shifted:
    """A model whose codes are image indices and whose reconstruction is the image `by` further.

    Image i is uniformly grey, of value i.
    """

    resolution, level, blend, images_seen = 4, 0, 1.0, 0

    def __init__(self, by):
        self.config = SimpleNamespace(resolution=4, latent_size=1)
        self._by = by

    def encode(self, images, layers=False):
        return images[:, 0, 0].astype(np.float32)

    def decode(self, w, noise_mode, seed, floats):
        grey = np.clip(w[:, :, np.newaxis, np.newaxis] + self._by, 0, 255)
        return np.broadcast_to(grey, (len(w), 4, 4, 1)).astype(np.uint8)


def samples(by, count, images=0):
    greys = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2)
    return Samples(Shifted(by), Images(greys), Protocol("train", images))


@pytest.mark.parametrize(("by", "share"), [(0, 1.0), (1, 31 / 40), (2, 13 / 40)])
def test_share_by_hand(monkeypatch, by, share):
    """Of 40 grey images every fourth is a candidate. Images that are 1 too light are lost where the
    next image is a candidate: 3, 7 … 35. If they are 2 too light, so are the two before these."""
    monkeypatch.setattr(found, "CANDIDATES", 10)
    each = samples(by, 40)
    assert found.found(each) == pytest.approx(share)
    assert each.counts == {"candidates": 10, "real": 40, "reconstructed": 40}


def test_the_number_of_candidates_does_not_depend_on_the_images_measured():
    each = samples(0, 120, images=7)
    assert found.found(each) == 1.0
    assert each.counts == {"candidates": 50, "real": 7, "reconstructed": 7}
    each = samples(0, 30)
    assert found.found(each) == 1.0
    assert each.counts["candidates"] == 30


def test_the_own_image_takes_the_place_of_one_candidate():
    """Images 0 to 5, candidates 0, 2 and 4: image 3 takes the place of 2, which is the nearest."""
    others = np.array([[5.0, 1.0, 4.0], [5.0, 1.0, 1.9]])
    own, chosen = np.array([2.0, 2.0]), np.array([0, 2, 4])
    assert nearest_is_own(own, others, np.array([3, 3]), chosen).tolist() == [True, False]
    assert nearest_is_own(own, others, np.array([5, 2]), chosen).tolist() == [False, False]
    only = nearest_is_own(own, others[:, :1], np.array([0, 1]), chosen[:1])
    assert only.tolist() == [True, True]
