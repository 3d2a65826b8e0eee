"""`--init_from`: starting a run with the weights of another run, which may have fewer levels.

Imports no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from alae_tf.config import Config, ConfigError
from alae_tf.config.architecture import width
from alae_tf.runs.directory import CONFIG, differences, existing_run, list_checkpoints

SIZES = ("levels", "start_channels", "max_channels")  # may differ where levels are added
# The parts of networks that belong to a level. G counts them from the coarsest, E and D from the
# finest; `Readout` has two `to_w` for each level.
PART = re.compile(r"(?<=/)([GED])/(blocks|to_rgb|from_rgb|to_w)\.([0-9]{1,3})(?=/)")


def check_init_from(config: Config) -> None:
    """Checks the run of --init_from, if given.

    Raises AlaeError if that run has no checkpoint, or networks that do not fit, or if the flag is
    missing and another setting needs it.
    """
    if not config.init_from:
        name = "name a trained model, for example --init_from=faces64"
        if config.freeze:
            raise ConfigError(f"--freeze={config.freeze}: freezes trained blocks; {name}.")
        if not {"d", "g"} & {*config.updates}:
            updates = f"--updates={','.join(config.updates)}"
            raise ConfigError(f"{updates}: G would stay untrained; {name}.")
        return
    path, flag = existing_run(config.init_from, "--init_from"), f"--init_from={config.init_from}"
    before = Config.load(path / CONFIG)
    groups = {field.name: field.metadata["group"] for field in dataclasses.fields(Config)}
    differ = {
        name: line
        for name, line in differences(before, config).items()
        if (groups[name] == "model" or name in ("image_channels", "latent_regression"))
        and (name, config.encoder_codes) != ("encoder_codes", "layers")
    }
    if config.levels > before.levels:
        differ = {name: line for name, line in differ.items() if name not in SIZES}
    if differ:
        how = f"has other networks; give the same settings, as --flagfile={path / CONFIG} does"
        raise ConfigError("\n  ".join([f"{flag}: {how}:", *differ.values()]))
    if config.levels > before.levels:
        _check_added(before, config)
    if not list_checkpoints(path):
        raise ConfigError(f"{flag}: it has no checkpoint yet.")


def _check_added(before: Config, config: Config) -> None:
    """Checks that networks with more levels have the channels of the trained ones."""
    added = config.levels - before.levels
    if _channels(config, added) != _channels(before):
        starts = (before.start_channels >> added or 1, before.start_channels)
        fitting = [before.replace(levels=config.levels, start_channels=start) for start in starts]
        fitting = [each for each in fitting if _channels(each, added) == _channels(before)]
        how = f"only --levels={before.levels} fits, since its channels cannot be halved further"
        if fitting:
            how = f"--levels={config.levels} needs {_sizes(fitting[0])}, since channels halve with "
            how += "each level"
        held = f"has {before.levels} levels and {_sizes(before)}"
        raise ConfigError(f"--init_from={config.init_from}: {held}; {how}.")


def _sizes(config: Config) -> str:
    return f"--start_channels={config.start_channels} --max_channels={config.max_channels}"


def _channels(config: Config, finest: int = 0) -> list[int]:
    """Channels of StyleALAE's feature maps, without those of the `finest` resolutions."""
    halvings = range(finest, config.levels + 1)
    return [width(config.start_channels, config.max_channels, i) for i in halvings]


def grown(entries: Mapping[str, np.ndarray], added: int, latent_size: int) -> dict[str, np.ndarray]:
    """The weights of trained networks, named and shaped for networks with `added` more levels.

    For the styles of the added levels, w_avg repeats its values for the last trained style, and the
    corrections of w are 0. The other weights of the added levels are absent.
    """
    result = {}
    for name, value in entries.items():
        name = PART.sub(lambda part: _moved(part, added), name)
        if name.endswith("/w_avg") and value.ndim == 2:
            value = np.concatenate([value, np.repeat(value[-1:], 2 * added, axis=0)])
        elif "/to_corrections/" in name and value.ndim:
            new = np.zeros((*value.shape[:-1], 2 * added * latent_size), value.dtype)
            value = np.concatenate([value, new], axis=-1)
        result[name] = value
    return result


def _moved(part: re.Match, added: int) -> str:
    network, kind, index = part.groups()
    shift = {"G": 0}.get(network, added) * (2 if kind == "to_w" else 1)
    return f"{network}/{kind}.{int(index) + shift}"


def is_added(name: str, added: int, levels: int) -> bool:
    """Whether a variable of networks with `levels` levels belongs to the last `added` of them."""
    part = PART.search(name)
    if part is None:
        return False
    network, kind, number = part.groups()
    index = int(number) // (2 if kind == "to_w" else 1)
    return index >= levels - added if network == "G" else index < added
