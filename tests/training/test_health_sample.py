"""What the numbers about a run are computed from."""

import math

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.model.autoencoder import Autoencoder
from alae_tf.training.health_sample import IMAGES, Sample, some_images
from alae_tf.training.progress import Progress
from tests.helpers.fakes import Images, noise


@pytest.fixture
def progress(small_mlp):
    made = Progress(small_mlp.replace(ema_images=100, epochs=10), Images(noise(40, 6)), strategy())
    made.enter_level(0)
    return made


def strategy():
    return tf.distribute.OneDeviceStrategy("CPU:0")


def sample(progress, begun=0, test=None):
    model = Autoencoder(progress.config, progress.trainer.ema)
    return Sample(progress, model, noise(5, 6), test, begun)


def test_shares_of_the_ema_that_are_older(progress):
    assert sample(progress).older(0, 100) == 0.5
    assert sample(progress).older(50, 250) == 0.25
    assert sample(progress, begun=300).older_at_end() == 0.5  # of 400 images


def test_the_norm_of_a_gradient_is_that_of_the_last_one(progress):
    E = sample(progress)
    assert math.isnan(E.gradient("E"))
    trainer = progress.trainer
    gradients = [tf.fill(v.shape, 0.5) for v in trainer.alae.E.trainable_variables]
    trainer.optimizer_ed.apply(gradients, trainer.alae.E.trainable_variables)
    count = sum(math.prod(v.shape) for v in trainer.alae.E.trainable_variables)
    assert E.gradient("E") == pytest.approx(0.5 * math.sqrt(count), rel=1e-4)
    assert math.isnan(E.gradient("D"))


def test_images_codes_and_logits(progress):
    found = sample(progress)
    assert sorted(found.logits) == ["generated", "train"]
    assert sorted(sample(progress, test=noise(3, 6)).logits) == ["generated", "test", "train"]
    ema = progress.trainer.ema
    np.testing.assert_allclose(found.e, ema.encode(found.x), atol=1e-6)
    np.testing.assert_allclose(found.recovered, ema.encode(found.new.clip(-1, 1)), atol=1e-6)
    np.testing.assert_allclose(found.again, ema(found.x), atol=1e-5)
    assert len(found.logits["generated"]) == len(found.w) == IMAGES


def test_some_images_are_spread_evenly():
    images = noise(64, 6)
    np.testing.assert_array_equal(some_images(Images(images), 6), images[::2])
    assert len(some_images(Images(images[:3]), 6)) == 3
