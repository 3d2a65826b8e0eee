"""What a run is: its record of settings, and how settings are read. No TensorFlow."""

from alae_tf.config.record import GROUPS, RENAMED, Config, by_level, by_name, field_type
from alae_tf.system.errors import ConfigError

__all__ = ["GROUPS", "RENAMED", "Config", "ConfigError", "by_level", "by_name", "field_type"]
