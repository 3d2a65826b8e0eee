"""Plug-ins: other packages that add figures, and whatever else is kept in a registry.

A package names the module that registers its records in the entry-point group `alae_tf.plugins`:

    [project.entry-points."alae_tf.plugins"]
    contact-sheet = "contact_sheet.figure"

The module registers them when it is imported, as in `alae_tf.figures.KINDS["sheet"] = Kind(...)`.
Module and registries must not import TensorFlow at the top: `--help` lists plug-ins too.
"""

from __future__ import annotations

import importlib.metadata

from alae_tf.system.errors import AlaeError


class PluginError(AlaeError):
    """A plug-in cannot be imported; the message names it and its module."""


def load() -> None:
    """Imports the plug-ins of all installed packages; a command calls it before it reads its flags.

    Raises:
        PluginError: a plug-in cannot be imported.
    """
    for entry in importlib.metadata.entry_points(group="alae_tf.plugins"):
        try:
            entry.load()
        except Exception as error:  # whatever the code of others raises
            why = f"{type(error).__name__}: {error}"
            raise PluginError(f"plug-in {entry.name} ({entry.value}): {why}") from error
