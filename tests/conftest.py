"""Two logical CPU devices for every test, and quiet logs."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import tensorflow as tf

from alae_tf.config import Config
from alae_tf.training import loop

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture
def one_device(monkeypatch):
    """Training on one of the two devices, which halves the tracing."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    monkeypatch.setattr(loop, "make_strategy", lambda config: strategy)


@pytest.fixture
def small() -> Config:
    """A StyleALAE of two levels that trains quickly."""
    return Config(
        levels=2,
        image_channels=1,
        start_channels=4,
        max_channels=8,
        latent_size=8,
        mapping_layers=2,
        flip=False,
        epochs_by_level=(0.02, 0.02),
        epochs=0.04,
        batch_by_level=(8,),
        sample_images=10**6,
        log_images=16,
    )


@pytest.fixture
def small_mlp() -> Config:
    """An MLP-ALAE of 6×6 pixels."""
    return Config(
        architecture="mlp",
        levels=1,
        image_channels=1,
        image_size=6,
        hidden_size=16,
        latent_size=8,
        mapping_layers=2,
        batch_by_level=(8,),
        learning_rate_by_level=(0.002,),
    )
