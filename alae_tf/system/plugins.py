"""Plug-ins: records that other packages add to the registries.

A package names the module that registers its records in the entry-point group `alae_tf.plugins`:

    [project.entry-points."alae_tf.plugins"]
    contact-sheet = "contact_sheet.figure"

The module registers them when it is imported, for example by
`alae_tf.figures.KINDS["sheet"] = Kind(…)`. Every command imports it at the start; the module must
not import TensorFlow. Updates of Algorithm 1 are tensor code: their module belongs in the group
`alae_tf.training`, which is imported when training starts. docs/architecture.md has the registries.
"""

import importlib.metadata

from alae_tf.system.errors import AlaeError


class PluginError(AlaeError):
    """A plug-in cannot be imported."""


def load(group: str = "alae_tf.plugins") -> None:
    """Imports the plug-ins of all installed packages in a group of entry points; raises PluginError
    if importing a plug-in failed."""
    for entry in importlib.metadata.entry_points(group=group):
        try:
            entry.load()
        except Exception as error:  # plug-ins may raise anything
            why = f"{type(error).__name__}: {error}"
            raise PluginError(f"plug-in {entry.name} ({entry.value}): {why}") from error
