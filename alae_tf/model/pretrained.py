"""Trained models for sharing: a folder with the config, the EMA weights and a model card.

It is a run directory without the state of training; every command accepts it as --run_dir.
"""

import os
import shutil
from pathlib import Path

import numpy as np

from alae_tf.model.autoencoder import Autoencoder, load_model
from alae_tf.model.card import Card
from alae_tf.networks.names import named_variables
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import CONFIG
from alae_tf.runs.results import FILE, read
from alae_tf.system.errors import AlaeError
from alae_tf.system.files import check_directory

CARD = "README.md"


def from_pretrained(name: str | Path) -> Autoencoder:
    """Loads a trained model.

    Args:
        name: a shipped model ("digits"), a folder written by `save_pretrained` or by training, or
            its URL ("s3://bucket/folder"), a `.keras` file, or "hf://NAMESPACE/NAME" on the Hugging
            Face Hub.

    Raises:
        CheckpointError: there is no such model; the message lists the shipped ones.
        StorageError: storage cannot be read.
    """
    if str(name).startswith("hf://") or str(name).endswith(".keras"):
        from alae_tf.model import keras_file

        return keras_file.load(name)
    return load_model(name)


def save_pretrained(
    model: Autoencoder,
    path: str | os.PathLike,
    card: str | Card | None = None,
    half: bool = False,
    results: str | os.PathLike | None = None,
) -> None:
    """Writes a model to a folder that `from_pretrained` reads.

    Args:
        model: its networks, level, blend and images seen are written.
        path: a folder; it must be new or empty.
        card: data, licence, use and limits, which are joined with the config and `results` into
            the model card; or the whole text of the card.
        half: store the weights as float16: half the size, relative error up to 5e-4.
        results: the run's results.jsonl; a copy is put into the folder.

    Raises:
        AlaeError: the folder is not empty, or `results` is missing or holds no results.
        OSError: the folder cannot be written.
    """
    path = Path(path)
    if check_directory("save_pretrained", path, "model", CONFIG):
        raise AlaeError(f"{path}: already holds a model; give a new or empty folder.")
    if results is not None and not Path(results).is_file():
        raise AlaeError(f"results={results}: no such file; `alae evaluate` writes it.")
    if not isinstance(card, str | Card | None):
        raise AlaeError(f"card: got {type(card).__name__}, expected a Card or a string.")
    measured = [] if results is None else read(Path(results))
    if results is not None and not measured:
        raise AlaeError(f"results={results}: holds no results of `alae evaluate`.")
    if not isinstance(card, str):
        card = (card or Card()).text(path.name, model, measured)
    path.mkdir(parents=True, exist_ok=True)
    weights = {
        name: np.asarray(variable, np.float16 if half else np.float32)
        for name, variable in named_variables(model.alae, "ema")
    }
    progress = {"level": model.level, "blend": float(model.blend)}
    checkpoint.save(weights, path, {"images_seen": model.images_seen or 0, **progress}, keep=1)
    (path / CARD).write_text(card, encoding="utf-8")
    if results is not None:
        shutil.copy(results, path / FILE)
    # Last, because it marks the model as complete.
    (path / CONFIG).write_text(model.config.to_flagfile(), encoding="utf-8")
