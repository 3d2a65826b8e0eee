"""The metric against `project` itself, on a small StyleALAE and a stand-in for LPIPS."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.config import Config
from alae_tf.evaluation import projection as metric
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae


class Squares:
    """Mean squared difference, in LPIPS' place."""

    def distance_graph(self, a, b):
        return tf.reduce_mean((a - b) ** 2, [1, 2, 3])


def samples(model, parts):
    count = sum(map(len, parts))
    return SimpleNamespace(
        model=model,
        counts={},
        count=count,
        network=lambda name: Squares(),
        real=lambda about: iter(parts),
    )


def test_means_over_all_images_of_the_errors_before_and_after(monkeypatch):
    config = Config(levels=2, image_channels=1, start_channels=8, max_channels=8, latent_size=8)
    model = Autoencoder(config, build_alae(config))
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    real_project = metric.project
    monkeypatch.setattr(metric, "project", lambda m, x, n: real_project(m, x, n, steps=5))
    found = samples(model, [images[:3], images[3:]])
    values = metric.projection(found)
    drawn = model.reconstruct(images) / 127.5 - images / 127.5
    assert values["mse_before"] == pytest.approx((drawn**2).mean(), abs=2e-3)
    assert values["mse_after"] < values["mse_before"]
    assert values["lpips_after"] < values["lpips_before"]
    assert found.counts == {"projected": 5}


def test_principal_components_have_none():
    assert metric.projection(samples(SimpleNamespace(), [])) == {}
