"""Real images in the place of generated ones, and numbers of generated images of their own."""

import numpy as np
import pytest

from alae_tf.evaluation import registry
from alae_tf.evaluation.floor import RealImages
from alae_tf.evaluation.samples import Protocol
from tests.helpers.fakes import Images, Means, noise


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))


def evaluated(train, test, names, **protocol):
    source = Images(train, held_out=Images(test))
    networks = {"lpips": Means()}
    model = RealImages(source, 8)
    return registry.evaluate(model, source, names, Protocol(**protocol), networks)


def test_equal_images_have_no_distance():
    images = noise(24)
    found = evaluated(images, images, ["fd_lpips", "precision", "recall"])
    values = {result.metric: result.value for result in found}
    assert values["fd_lpips"] == pytest.approx(0, abs=1e-6)
    assert values["precision"] == values["recall"] == 1.0


def test_other_images_have_some_and_their_number_is_their_own():
    test, train = noise(24), np.minimum(noise(64, seed=1), 99)
    (found,) = evaluated(train, test, ["fd_lpips"], generated=40)
    assert found.value > 1
    assert found.counts == {"real": 24, "generated": 40}
    assert found.protocol["generated"] == 40


def test_only_metrics_of_generated_images_have_a_floor():
    floored = {name for name, metric in registry.METRICS.items() if metric.floor}
    assert {"fid", "kid", "fd_lpips", "kd_lpips", "fd_digits", "precision", "recall"} == floored
