"""Checkpoints: the whole training state in one `.npz` file, written atomically.

Every variable is saved under its name in the code (`alae/E/blocks.0/conv_1/kernel`). Reading is
strict: a variable without an entry, an entry without a variable and a wrong shape are errors.
Nothing is unpickled, and the zip format's checksums reveal a torn file.
"""

from __future__ import annotations

import errno
import json
import math
import re
import typing
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

import keras
import numpy as np

from alae_tf.config import Config, ConfigError
from alae_tf.networks.alae import ALAE, build_alae
from alae_tf.networks.names import named_variables
from alae_tf.runs import init_from
from alae_tf.runs.directory import (
    BEST,
    CONFIG,
    FOLDER,
    checkpoint_numbers,
    chosen_checkpoint,
    existing_run,
    list_checkpoints,
    read_best,
)
from alae_tf.runs.npz import read_npz
from alae_tf.system import float32, schema
from alae_tf.system.errors import CheckpointError, report
from alae_tf.system.files import unused, write_atomic

STATE = {  # see `schema`
    "images_seen": int,
    "level": int,
    "blend": float,
    "dataset_size": (int, None),  # null in an imported run, whose images are not known yet
    "sums": [float],
    "summed": int,
}
BEGUN = {"first_level?": int, "first_fades?": bool}  # see `Growth`; older runs lack them
LEVELS = 9  # of the largest model, 1024 px
LOADED = ("images_seen", "level", "blend")  # needed to load a model
CORRECTIONS = re.compile(r"/(to_hidden|to_corrections)/")  # variables of `LayeredEncoder` alone
WEIGHTS = {"ema": "ema", "raw": "alae"}  # choice of weights → prefix of the names of variables


Entries = dict[str, np.ndarray]
State = dict[str, typing.Any]


class NonFiniteError(ArithmeticError):
    """A loss or a weight is NaN or infinite; the message says which and where."""


def save(
    variables: Mapping[str, keras.Variable | np.ndarray],
    run_dir: str | Path,
    state: Mapping[str, object],
    keep: int,
) -> Path:
    """Writes a checkpoint of variables by name, then deletes all but the newest `keep` and the
    best. `state`: JSON values beside the variables; `images_seen` names the file.

    A damaged best.json is reported, and no checkpoint is deleted.

    Raises:
        OSError: the disk is full or unreachable; earlier checkpoints are untouched.
        NonFiniteError: a weight is not finite; nothing is written.
    """
    folder = Path(run_dir) / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"images-{state['images_seen']:012d}.npz"
    values: dict[str, typing.Any] = {name: np.asarray(v) for name, v in variables.items()}
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise NonFiniteError(f"{name} is not finite after {state['images_seen']:,} images")
    values["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    write_atomic(path, lambda file: np.savez(file, **values))
    try:
        best = read_best(run_dir)
    except CheckpointError as error:
        report("checkpoint", f"{error} Until then no checkpoint is deleted.")
        return path
    for old in list_checkpoints(run_dir)[:-keep]:
        is_best = best is not None and best["images_seen"] == int(old.stem.partition("-")[2])
        if not is_best and _is_checkpoint(old):
            old.unlink(missing_ok=True)
    return path


def _is_checkpoint(path: Path) -> bool:
    """Whether a file has the entries of a checkpoint; reads only their names."""
    if not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return "state.npy" in file.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def mark_best(run_dir: str | Path, about: Mapping[str, object]) -> None:
    """Makes a checkpoint the best one of its run, which is never deleted; `about` as in
    `ABOUT_BEST`. Raises OSError if it cannot be written."""
    write_atomic(Path(run_dir) / FOLDER / BEST, json.dumps(about).encode())


def read(path: Path, needs: Collection[str] = LOADED) -> tuple[Entries, State]:
    """A checkpoint file: (entries by name, state). `needs`: the keys that the state must have.

    Raises:
        CheckpointError: the file is torn, not a checkpoint, or holds numbers that are not finite.
        OSError, MemoryError: it cannot be read at present; the file itself may be whole.
    """
    try:
        # `slow/` is what the first version called the EMA.
        arrays = read_npz(path).items()
        entries = {re.sub(r"^slow/", "ema/", name): value for name, value in arrays}
        state = json.loads(bytes(entries.pop("state")))
        check_state(state, needs)
        for name, value in entries.items():
            if not np.isfinite(value).all():
                raise ValueError(f"{name} is not finite")
        return entries, state
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make zipfile and zlib raise nearly anything
        # Damaged bytes make zipfile seek wrongly; a directory of that name is no disk error either.
        of_file = (None, errno.EINVAL, errno.EISDIR)
        if isinstance(error, OSError) and error.errno not in of_file:
            error.filename = str(path)  # set only if `open` failed
            raise
        why = "it has no state" if isinstance(error, KeyError) else error
        raise CheckpointError(f"{path}: not a whole checkpoint ({why})") from None


def check_state(
    state: Mapping[str, typing.Any], needs: Collection[str] = LOADED, levels: int = LEVELS
) -> None:
    """Raises ValueError unless a state has all the keys in `needs`, with values that a model of
    `levels` levels can have."""
    schema.check(state, {name: STATE[name] for name in needs} | BEGUN, "state")
    most = {"level": levels - 1, "blend": 1, "first_level": state["level"]}
    for name in (*needs, "first_level"):
        value, largest = state.get(name, 0), most.get(name, math.inf)
        if isinstance(value, int | float) and not 0 <= value <= largest:
            raise ValueError(f"state/{name} is {value}, expected 0 to {largest}")


def check_level(path: Path, state: State, config: Config) -> None:
    """Raises CheckpointError if a checkpoint is at a level that the config of its run lacks."""
    if state["level"] >= config.levels:
        held = f"is at level {state['level']}, but its run has {config.levels} levels"
        raise CheckpointError(f"{path}: {held}.")


def read_newest(
    run_dir: str | Path, needs: Collection[str] = LOADED
) -> tuple[Path, Entries, State]:
    """The newest whole checkpoint: (path, entries, state). Newer, damaged checkpoints are reported.
    Raises CheckpointError if there is no checkpoint, or all are damaged."""
    paths = list_checkpoints(run_dir)
    for path in reversed(paths):
        try:
            return path, *read(path, needs)
        except CheckpointError as error:
            then = "" if path == paths[0] else " The previous checkpoint is used."
            report("checkpoint", f"{error}.{then}")
    why = f"none of its {len(paths)} checkpoints can be read" if paths else "it has no checkpoint"
    raise CheckpointError(f"--run_dir={run_dir}: {why}.")


def read_one(run_dir: str | Path, images_seen: int) -> tuple[Path, Entries, State]:
    """The checkpoint at a number of images: (path, entries, state); raises CheckpointError if it
    does not exist or cannot be read."""
    paths = dict(zip(checkpoint_numbers(run_dir), list_checkpoints(run_dir), strict=True))
    if images_seen not in paths:
        held = ", ".join(map(str, paths)) or "none"
        raise CheckpointError(
            f"--run_dir={run_dir}: no checkpoint at {images_seen} images; existing ones: {held}."
        )
    return paths[images_seen], *read(paths[images_seen])


def assign(variables: Mapping[str, keras.Variable], entries: Mapping[str, np.ndarray]) -> None:
    """Assigns the entries to the variables, all or none. Raises CheckpointError, with a list, if
    names or shapes do not match."""
    wrong = [f"missing: {name}" for name in variables.keys() - entries.keys()]
    wrong += [f"unknown: {name}" for name in entries.keys() - variables.keys()]
    for name in variables.keys() & entries.keys():
        got, expected = entries[name].shape, tuple(variables[name].shape)
        if got != expected:
            wrong.append(f"shape: {name} is {list(got)}, expected {list(expected)}")
    if wrong:
        raise CheckpointError("checkpoint and model do not match:\n  " + "\n  ".join(sorted(wrong)))
    for name, variable in variables.items():
        variable.assign(entries[name])


def restore(
    variables: Mapping[str, keras.Variable], run_dir: str | Path, chief: bool = True
) -> State | None:
    """Restores the newest whole checkpoint; returns its state, or None if there is no checkpoint.

    The chief renames newer checkpoints, which are torn.
    """
    if not list_checkpoints(run_dir):
        return None
    path, entries, state = read_newest(run_dir, STATE)
    assign(variables, entries)
    for later in list_checkpoints(run_dir):
        if chief and later > path:  # torn; must not count as one of the newest to keep
            later.rename(unused(later.with_suffix(".torn")))
    return state


def take_over(
    variables: Mapping[str, keras.Variable], run_dir: str | Path, levels: int, ema: bool = False
) -> State:
    """Copies the weights and the EMA of another run's newest checkpoint into the variables of a run
    with as many `levels` or more; returns that checkpoint's state.

    If it has only the EMA, as in a shipped model, or with `ema`, the weights begin with the EMA.
    If the other run has an `Encoder`, the additional weights of a `LayeredEncoder` stay new, as do
    the layers of added levels (`init_from.grown`). Variables of the optimizers do not change.

    Raises CheckpointError if the other run has no readable checkpoint, or other networks.
    """
    path, entries, state = read_newest(run_dir)
    before = Config.load(Path(run_dir) / CONFIG)
    check_level(path, state, before)
    averages = {f"alae/{name[4:]}": entries[name] for name in entries if name.startswith("ema/")}
    entries = entries | averages if ema else averages | entries
    prefixes = tuple(f"{prefix}/" for prefix in WEIGHTS.values())
    entries = {name: value for name, value in entries.items() if name.startswith(prefixes)}
    if (added := levels - before.levels) > 0:
        entries = init_from.grown(entries, added, before.latent_size)

    ours = {name: variable for name, variable in variables.items() if name.startswith(prefixes)}
    for name in ours.keys() - entries.keys():
        if CORRECTIONS.search(name) or init_from.is_added(name, added, levels):
            del ours[name]
    assign(ours, entries)
    return state


def load_networks(
    run_dir: str | Path, checkpoint: int | str | None = None, weights: str = "ema"
) -> tuple[Config, ALAE, State]:
    """The networks of a run in float32, whatever precision it was trained in: (config, networks,
    state with `level`, `blend` and `images_seen`).

    Rounding to bfloat16 changes single pixels by several grey levels, which can be more than the
    effect of a small change of the code. For the same reason TensorFloat-32 is switched off for
    this process (`alae_tf.system.float32`).

    Args:
        checkpoint: images seen at the checkpoint, "best" or "newest"; default: the newest whole
            checkpoint.
        weights: "ema" or "raw", the weights that training moves.

    Raises:
        CheckpointError: `run_dir` is not a run directory, or the checkpoint is missing or damaged.
        ValueError: `weights` is neither of the two.
    """
    if not isinstance(weights, str) or weights not in WEIGHTS:
        raise ValueError(f"weights: got {weights!r}, expected {' or '.join(WEIGHTS)}")
    run_dir = existing_run(run_dir, "run_dir")
    try:
        config = Config.load(run_dir / CONFIG)
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    number = chosen_checkpoint(run_dir, checkpoint)
    found = read_newest(run_dir) if number is None else read_one(run_dir, number)
    file, entries, state = found
    check_level(file, state, config)
    float32.use()
    alae, prefix = build_alae(config.replace(precision="float32")), WEIGHTS[weights]
    chosen = {name: value for name, value in entries.items() if name.startswith(f"{prefix}/")}
    if not chosen:
        raise CheckpointError(f"{file}: holds no {weights} weights.")
    assign(dict(named_variables(alae, prefix)), chosen)
    return config, alae, state
