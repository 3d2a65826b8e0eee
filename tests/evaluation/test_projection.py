"""The metric against `project` itself, on a small StyleALAE and a stand-in for LPIPS."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.config import Config
from alae_tf.evaluation import projection as metric
from alae_tf.evaluation import registry
from alae_tf.evaluation.samples import Protocol, Samples
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from tests.helpers.fakes import Images, Means, noise


class Squares:
    """Mean squared difference, in LPIPS' place."""

    name, sha256 = "squares", "0"

    def distance_graph(self, a, b):
        return tf.reduce_mean((a - b) ** 2, [1, 2, 3])

    def distance(self, a, b):
        return ((a.astype(float) - b) ** 2).mean((1, 2, 3))


NETWORKS = {"lpips": Squares(), "lpips_alex": Squares(), "identity": Means()}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))


def test_means_over_all_images_of_the_errors_before_and_after(monkeypatch):
    config = Config(levels=2, image_channels=1, start_channels=8, max_channels=8, latent_size=8)
    model = Autoencoder(config, build_alae(config))
    images = noise(70)
    real_project = metric.project
    projections = []

    def few_steps(model, images, lpips):
        projections.append(real_project(model, images, lpips, steps=3))
        return projections[-1]

    monkeypatch.setattr(metric, "project", few_steps)
    samples = Samples(model, Images(images), Protocol("train", 66), NETWORKS)
    values, people = metric.projection(samples), metric.projection_identity(samples)
    assert len(projections) == 2  # of 64 and 2 images, computed once for both
    assert tuple(values) == registry.METRICS["projection"].parts
    assert tuple(people) == registry.METRICS["projection_identity"].parts
    images = images[samples.indices]
    drawn = model.reconstruct(images)
    after = np.concatenate([each.projected for each in projections])
    squares = ((drawn / 127.5 - images / 127.5) ** 2).mean()
    assert values["mse_before"] == pytest.approx(squares, abs=2e-3)
    assert values["mse_after"] < values["mse_before"]
    assert values["lpips_after"] < values["lpips_before"]
    network = NETWORKS["identity"]
    for when, made in (("before", drawn), ("after", after)):
        alex = NETWORKS["lpips_alex"].distance(images, made).mean()
        assert values[f"lpips_alex_{when}"] == pytest.approx(alex)
        apart = np.linalg.norm(network(made) - network(images), axis=1)
        assert people[f"distance_{when}"] == pytest.approx(apart.mean(), rel=1e-5)
        assert 0 <= people[f"found_{when}"] <= 1
    assert samples.counts == {"real": 66, "projected": 66, "candidates": 70}


def test_principal_components_have_none():
    samples = SimpleNamespace(model=SimpleNamespace())
    assert metric.projection(samples) == metric.projection_identity(samples) == {}
