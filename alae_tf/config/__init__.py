"""The settings of a run, and how they are read and checked. No TensorFlow."""

from alae_tf.config.record import GROUPS, RENAMED, Config, by_level
from alae_tf.system.errors import ConfigError

__all__ = ["GROUPS", "RENAMED", "Config", "ConfigError", "by_level"]
