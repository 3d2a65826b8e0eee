from types import SimpleNamespace

import numpy as np

from alae_tf.evaluation import representation
from tests.helpers.fakes import Images


def test_nearest_neighbour_by_hand():
    train, labels = np.array([[0.0], [10.0], [20.0]]), np.array([0, 1, 2])
    test = np.array([[1.0], [9.0], [16.0], [4.0]])
    accuracy = representation.nearest_neighbour_accuracy(
        train, labels, test, np.array([0, 1, 2, 1])
    )
    assert accuracy == 0.75


def stripes(values, held_out=None):
    """Grey images of one value each, whose class is whether that is above 100."""
    values = np.array(values, np.uint8)
    images = np.broadcast_to(values[:, None, None, None], (len(values), 4, 4, 1))
    return Images(images, values > 100, held_out)


def test_summary_compares_held_out_images_with_those_trained_on(monkeypatch):
    model = SimpleNamespace(resolution=4, encode=lambda images: images[:, 0, 0].astype(np.float32))
    held_out = stripes([10, 90, 101, 250])  # 101 is nearer to 95 than to 200: the one mistake
    source = stripes([0, 95, 200], held_out)
    line = representation.summary(model, source)
    assert "75.0 % of 4" in line
    assert representation.summary(model, held_out) is None
    monkeypatch.setattr(representation, "MOST_NEIGHBOURS", 2)
    assert "%" not in representation.summary(model, source)
