"""Converts a checkpoint of the authors' training into a run directory."""

import contextlib
import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from alae_tf.config import Config, ConfigError
from alae_tf.config.architecture import width
from alae_tf.features.pytorch_file import read_pytorch
from alae_tf.official.weights import OfficialError, differences, load_weights
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory
from alae_tf.system.files import PARTIAL, check_length, sweep
from alae_tf.system.urls import refuse_url
from alae_tf.training.saver import training_variables
from alae_tf.training.trainer import Trainer

# The authors' names of the networks → ours. The names of their EMA weights end in `_s`.
NETWORKS = {
    "discriminator": "E",
    "generator": "G",
    "mapping_tl": "D",
    "mapping_fl": "F",
    "dlatent_avg": "w_avg",
}
WHICH = {"ema": "_s", "raw": ""}
D_LAYERS = 3
MARK = f"import{PARTIAL}"  # exists in the run directory while it is being written
LOCK = ".lock"


def import_run(
    path: str | Path, run_dir: str | Path, config_path: str | Path | None, which: str = "ema"
) -> tuple[Config, list[str], int, list[str]]:
    """Creates a run directory from a checkpoint, at its top level, with new optimizers.

    Args:
        path: a `.pth` file of the authors' layout.
        run_dir: new or empty; nothing is overwritten.
        config_path: a flagfile; default: the sizes of the tensors, and the defaults of `Config`.
        which: "ema" for the EMA weights, "raw" for the weights that training moves.

    Returns:
        (the run's config; the authors' names of the imported networks; the number of their tensors;
        the other contents of the file: networks, optimizers, names of skipped classes).

    Raises:
        PytorchFileError: the file cannot be read or is refused.
        OfficialError: its tensors are not those of a StyleALAE, or do not match the config.
        AlaeError: `run_dir` is not empty or a URL, or the flagfile is wrong.
        OSError: the run directory cannot be written.
    """
    refuse_url("--run_dir", run_dir)
    directory = RunDirectory(run_dir)
    check_length("--run_dir", directory.config_path)
    if directory.config_path.exists():
        raise ConfigError(f"--run_dir={run_dir}: already holds a run; give a new directory.")
    clear(directory)
    directory.check(Config(), resume="never")
    asked = Config.load(config_path) if config_path else None
    contents = read_pytorch(path)
    names = {}
    try:
        names, tensors = choose(contents.data, which)
        sizes = read_sizes(tensors)
        check_numbers(tensors, sizes, os.path.getsize(path))
        config = asked or sizes
        if wrong := differences(config, sizes, str(config_path), str(path)):
            raise OfficialError("holds other networks:\n  " + "\n  ".join(wrong))
        trainer = Trainer(config)
        for alae in (trainer.alae, trainer.ema):
            load_weights(alae, tensors)
    except (OfficialError, ConfigError) as error:
        # `G/const` → `generator_s.const`, as in the file.
        message = re.sub(
            r"(?<!\S)(E|G|D|F|w_avg)/", lambda m: names.get(m[1], m[1]) + ".", str(error)
        )
        raise OfficialError(f"{path}: {message}") from None
    write(trainer, directory)
    left = [str(name) for name in contents.data["models"] if name not in names.values()]
    for name, value in contents.data.items():
        if name != "models":
            held = f" ({', '.join(map(str, value))})" if isinstance(value, dict) else ""
            left.append(f"{name}{held}")
    left += [f"objects of {name}" for name in contents.skipped]
    return config, list(names.values()), len(tensors), left


def choose(data: object, which: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Selects the EMA or the raw networks: ({our letter: the authors' name}, {name as in
    `weights.table`: tensor}). Raises OfficialError if a network is missing, unknown, or holds
    something other than tensors."""
    models = data.get("models") if isinstance(data, dict) else None
    if not isinstance(models, dict):
        raise OfficialError("no entry `models`, which the authors' checkpoints have")
    unknown = [n for n in models if not isinstance(n, str) or n.removesuffix("_s") not in NETWORKS]
    names, tensors, wrong = {}, {}, [f"unknown: {name!a}" for name in unknown]
    for network, prefix in NETWORKS.items():
        name = network + WHICH[which]
        if network == "dlatent_avg" and name not in models:
            name = network  # a running mean, of which the authors store only one
        state = models.get(name)
        if not isinstance(state, dict):
            wrong.append(f"missing: {name}")
            continue
        names[prefix] = name
        for key, value in state.items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                tensors[f"{prefix}/{key}"] = value
            else:
                wrong.append(f"not a tensor of floats: {name}.{key}")
    if wrong:
        other = next(other for other in WHICH if other != which)
        hint = f"\n--which={other} takes the other set of networks." if not unknown else ""
        raise OfficialError(
            "its networks are not those of a StyleALAE:\n  " + "\n  ".join(wrong) + hint
        )
    return names, tensors


def read_sizes(tensors: Mapping[str, np.ndarray]) -> Config:
    """A config with the sizes of these tensors, and defaults for everything else. Raises
    OfficialError or ConfigError if they are not those of a StyleALAE."""

    def shape(name: str, rank: int) -> tuple[int, ...]:
        if name not in tensors or tensors[name].ndim != rank:
            raise OfficialError(f"no tensor {name} of rank {rank}: not a StyleALAE")
        return tensors[name].shape

    def count(name: str) -> int:
        return next(i for i in itertools.count() if name.format(i) not in tensors)

    if (layers := count("D/map_blocks.{}.weight")) != D_LAYERS:
        raise OfficialError(f"D/map_blocks has {layers} layers, expected {D_LAYERS}")
    levels = count("E/encode_block.{}.conv_1.weight")
    start_channels, image_channels, *_ = shape("E/from_rgb.0.from_rgb.weight", 4)
    return Config(
        levels=levels,
        start_channels=start_channels,
        max_channels=shape(f"E/encode_block.{levels - 1}.conv_2.weight", 4)[0],
        latent_size=shape("F/map_blocks.0.fc.weight", 2)[0],
        mapping_layers=count("F/map_blocks.{}.fc.weight"),
        image_channels=image_channels,
    )


def check_numbers(tensors: Mapping[str, np.ndarray], sizes: Config, size: int) -> None:
    """Checks, before networks are built, that a file really holds as many numbers as they need.

    Raises OfficialError if the tensors have fewer numbers than the networks of these sizes, or more
    than a file of `size` bytes can hold (views may repeat or share numbers), or if some are not
    finite.
    """
    start, most = sizes.start_channels, sizes.max_channels
    widths = [width(start, most, i) for i in range(sizes.levels + 1)]
    latent = sizes.latent_size
    # Kernels only: of F, of D (whose last layer has 2·latent outputs), then of E and G.
    least = (sizes.mapping_layers + D_LAYERS + 1) * latent**2
    for inner, outer in itertools.pairwise(widths):
        least += (9 * inner + 2 * latent) * (inner + outer)
        least += (9 * inner + 4 * latent) * inner
    held = sum(tensor.size for tensor in tensors.values())
    if held < least:
        raise OfficialError(
            f"its tensors have {held:,} numbers, but networks of their shapes have more than "
            f"{least:,}: not a StyleALAE"
        )
    if sum(tensor.nbytes for tensor in tensors.values()) > size:
        raise OfficialError("its tensors repeat or share their numbers: not a trained StyleALAE")
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, and is reported
        wrong = [
            f"not finite: {name}"
            for name, tensor in tensors.items()
            if not np.isfinite(tensor.astype(np.float32)).all()
        ]
    if wrong:
        raise OfficialError("weights that are NaN or infinite:\n  " + "\n  ".join(wrong))


def clear(directory: RunDirectory) -> None:
    """Deletes the files of an import that failed or was killed, and nothing else."""
    mark = directory.path / MARK
    if directory.config_path.exists() or not mark.exists():
        return
    directory.open()  # fails while another import is at work in it
    folder = directory.path / checkpoint.FOLDER
    sweep(folder)
    sweep(directory.path)
    for path in (folder / "images-000000000000.npz", directory.path / LOCK, mark):
        path.unlink(missing_ok=True)
    directory.close()
    for path in (folder, directory.path):
        with contextlib.suppress(OSError):
            path.rmdir()  # if it is empty


def write(trainer: Trainer, directory: RunDirectory) -> None:
    """Writes the run; its config comes last, so that an interrupted import is not a run."""
    state = {
        "images_seen": 0,
        "level": trainer.config.levels - 1,
        "blend": 1.0,
        "dataset_size": None,  # set by the first checkpoint, when the images are known
        "sums": [0.0] * len(trainer.updates),
        "summed": 0,
    }
    mark = directory.path / MARK
    directory.open()
    try:
        mark.touch()
        checkpoint.save(training_variables(trainer), directory.path, state, keep=1)
        directory.write_config(trainer.config)
    except BaseException:
        directory.close()
        clear(directory)
        raise
    directory.close()
    mark.unlink()
