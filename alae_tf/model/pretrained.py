"""Trained models to be shipped: a folder with config, EMA weights, and a model card.

Such a folder is a run directory without what training needs, so that every command's --run_dir
takes it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from alae_tf.model.autoencoder import Autoencoder, load_model
from alae_tf.model.card import Card
from alae_tf.networks.names import named_variables
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import CONFIG
from alae_tf.runs.results import read
from alae_tf.system.errors import AlaeError
from alae_tf.system.files import check_directory

CARD = "README.md"
RESULTS = "results.jsonl"


def from_pretrained(name: str | Path) -> Autoencoder:
    """A trained model.

    Args:
        name: of a model that the project ships ("digits"), a path to a folder that
            `save_pretrained` or training made, a `.keras` file, or "hf://NAMESPACE/NAME" on the
            Hugging Face Hub.

    Raises:
        CheckpointError: there is none; lists the shipped ones.
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
    """Writes a model as a folder that `from_pretrained` takes.

    Args:
        model: its networks, level and blend are kept.
        path: a folder that is not there or empty.
        card: what the author tells of data, licence, use and limits; the model card is made of
            it, of the config and of `results`. Or the whole text of the card.
        half: store the weights in float16: half the size, relative error up to 5e-4.
        results: the run's results.jsonl, to go with it.

    Raises:
        AlaeError: the folder holds something, or there are no such results.
        OSError: it cannot be written.
    """
    path = Path(path)
    if check_directory("save_pretrained", path, "a model", CONFIG):
        raise AlaeError(f"{path}: holds a model already; give a new or empty folder.")
    if results is not None and not Path(results).is_file():
        raise AlaeError(f"results={results}: no such file; `alae_tf.evaluate` writes one.")
    if not isinstance(card, str | Card | None):
        raise AlaeError(f"card: got {type(card).__name__}, expected a Card, or a text.")
    measured = [] if results is None else read(Path(results))
    if results is not None and not measured:
        raise AlaeError(f"results={results}: holds no line of `alae_tf.evaluate`.")
    if not isinstance(card, str):
        card = (card or Card()).text(path.name, model, measured)
    path.mkdir(parents=True, exist_ok=True)
    weights = {
        name: np.asarray(variable, np.float16 if half else np.float32)
        for name, variable in named_variables(model.alae, "ema")
    }
    state = {
        "images_seen": model.images_seen or 0,
        "level": model.level,
        "blend": float(model.blend),
    }
    checkpoint.save(weights, path, state, keep=1)
    (path / CARD).write_text(card, encoding="utf-8")
    if results is not None:
        shutil.copy(results, path / RESULTS)
    (path / CONFIG).write_text(
        model.config.to_flagfile(), encoding="utf-8"
    )  # last: it marks a whole model
