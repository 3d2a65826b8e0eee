"""Recomputes, with our model, numbers that the authors' model produced."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from alae_tf.config import Config, ConfigError
from alae_tf.networks import ops
from alae_tf.networks.alae import build_alae
from alae_tf.official.weights import OfficialError, differences, load_weights, read_weights
from alae_tf.runs.checkpoint import load_networks
from alae_tf.system import float32, schema
from alae_tf.system.errors import CheckpointError
from alae_tf.training.algorithm import Iteration
from alae_tf.training.draws import Draw
from alae_tf.training.trainer import Trainer

ZERO_GRADIENT = "G/decode_block.0.bias_1"  # its step is the sign of rounding noise; see `verify`


def read_config(meta: Mapping[str, Any], **changes) -> Config:
    """The authors' settings in a golden file → a Config."""
    return Config(
        levels=meta["layer_count"],
        start_channels=meta["startf"],
        max_channels=meta["maxf"],
        latent_size=meta["latent_size"],
        mapping_layers=meta["mapping_layers"],
        image_channels=meta["channels"],
        w_avg_decay=meta["dlatent_avg_beta"],
        **changes,
    )


def verify(path: str | Path, run_dir: str | Path | None = None) -> Iterator[tuple[str, float]]:
    """Recomputes every quantity in a golden file.

    Args:
        path: an `.npz` of numbers from the authors' model: a forward file (`weights/…`) or one
            of two training iterations (`before/…`, `after_0/…`, `after_1/…`).
        run_dir: use the EMA weights of this run instead of those in the file, a forward file.

    Yields:
        (name of the quantity, largest absolute error over the largest entry). Training files are
        computed in float64, the losses of their first iteration again in float32, as
        `float32/loss_…`. `G/decode_block.0.bias_1` is omitted: while the constant is uniform the
        instance norm removes that bias, so its true gradient is zero and its step is the sign of
        rounding noise.

    Raises:
        OfficialError: the file does not exist or is not of this form, or its tensors do not match
            its config; with `run_dir`, also if the run has another config, or the file is a
            training file.
        CheckpointError: `run_dir` is not a run.
    """
    float32.use()
    file = read_npz(path)
    try:
        meta = schema.parse(bytes(file["meta/config"]), {str: object})
        if "in/x_0" in file:
            if run_dir is not None:
                raise OfficialError("holds training iterations; --run_dir needs a forward file")
            yield from iterate(file, meta, "float64")
            # In float32 the other quantities depend on the CPU: rounding can move a value across
            # the kink of a leaky ReLU or change the sign of a gradient near zero, and either
            # affects whole tensors.
            for name, error in iterate(file, meta, "float32"):
                if not name.startswith("loss_"):
                    return
                yield f"float32/{name}", error
        else:
            yield from verify_forward(file, meta, run_dir)
    except KeyError as error:
        raise OfficialError(f"{path}: no entry {error}") from None
    except CheckpointError:  # of the run, not of the file
        raise
    except (OfficialError, ConfigError, json.JSONDecodeError) as error:
        raise OfficialError(f"{path}: {error}") from None
    except (TypeError, ValueError, AttributeError, tf.errors.InvalidArgumentError) as error:
        text = re.sub(r"\x1b\[\d*m", "", str(error))  # Keras adds a first line, and bold type
        lines = [line for line in text.splitlines() if line and "encountered when" not in line]
        raise OfficialError(f"{path}: its entries do not match each other ({lines[0]})") from None


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Reads an `.npz` without unpickling anything."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            if len(set(file.files)) < len(file.files):
                raise ValueError("two entries of the same name")
            return {name: file[name] for name in file.files}
    except Exception as error:  # damaged bytes make zipfile and zlib raise nearly anything
        if isinstance(error, OSError) and error.strerror:
            raise OfficialError(f"{path}: {error.strerror}") from None
        raise OfficialError(
            f"{path}: not a whole NumPy .npz archive of arrays; give a file of numbers from the "
            "authors' model, for example tests/goldens/style32_forward.npz"
        ) from None


def subset(file: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The entries below `prefix`, without it."""
    return {name.removeprefix(prefix): file[name] for name in file if name.startswith(prefix)}


def noise_maps(file: Mapping[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """The noise maps `prefix`0, `prefix`1, … in order."""
    maps = subset(file, prefix)
    return [maps[str(k)] for k in range(sum(name.isdigit() for name in maps))]


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest absolute difference over the largest entry of `theirs` (over 1 if that is 0)."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        raise OfficialError(f"got shape {list(ours.shape)}, the file has {list(theirs.shape)}")
    return float(np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1.0))


def verify_forward(
    file: Mapping[str, np.ndarray], meta: Mapping, run_dir: str | Path | None = None
) -> Iterator[tuple[str, float]]:
    """w, encode, logit and decode at every level and blend in the file; truncated generation."""
    if not subset(file, "out/"):
        raise OfficialError("no entry out/…: nothing to compare")
    config = read_config(meta)
    if run_dir is None:
        alae = build_alae(config)
        load_weights(alae, subset(file, "weights/"))
    else:
        own, alae, _ = load_networks(run_dir)
        if wrong := differences(own, config, f"--run_dir={run_dir}", "this file"):
            raise OfficialError("numbers of other networks:\n  " + "\n  ".join(wrong))
    for name, theirs in subset(file, "out/").items():
        at = re.fullmatch(r"(encode|logit|decode_noise)_(level(\d+)_blend([\d.]+))", name)
        if at:
            quantity, key, level, blend = at[1], at[2], int(at[3]), float(at[4])
            if quantity == "decode_noise":
                noise = noise_maps(file, f"in/noise_{key}_")
                ours = alae.decode(file["in/styles"], level, blend, noise)
            else:
                compute = alae.encode if quantity == "encode" else alae.logits
                ours = compute(file[f"in/x_level{level}"], level, blend)
        elif name == "w":
            ours = alae.F(file["in/z"])
        elif name == "generate_truncated":
            psi, cutoff = file["meta/truncation_psi"], int(file["meta/truncation_cutoff"])
            styles = alae.map(file["in/z"])
            # The released model updates w_avg whenever it generates, before it truncates.
            mean = tf.reduce_mean(styles, axis=0)
            w_avg = tf.convert_to_tensor(alae.w_avg)
            alae.w_avg.assign(ops.lerp(mean, w_avg, meta["dlatent_avg_beta"]))
            styles = alae.truncate(styles, psi, cutoff)
            ours = alae.decode(styles, noise=noise_maps(file, "in/noise_truncated_"))
        else:
            raise OfficialError(f"out/{name}: is not a known quantity")
        yield name, relative_error(ours, theirs)


def iterate(
    file: Mapping[str, np.ndarray], meta: Mapping, dtype: str
) -> Iterator[tuple[str, float]]:
    """Computes the iterations of a training file in `dtype`, and yields as `verify` does.

    Eager execution takes a quarter of the time of tracing. F moves in update 3, as in the authors'
    model.
    """
    level, blend = int(file["meta/level"]), float(file["meta/blend"])
    batch = len(file["in/x_0"])
    config = read_config(
        meta,
        latent_update="EFG",
        batch_by_level=(batch,),
        learning_rate_by_level=(float(file["meta/lr"]),),
    )
    trainer = Trainer(config, dtype=dtype)
    before = subset(file, "before/")
    load_weights(trainer.alae, before)
    trainer.set_learning_rate(level)
    step = Iteration(trainer, level, tf.constant(blend, dtype), batch, r1=True)
    for i in range(sum(name.startswith("in/x_") for name in file)):
        draws = {
            name: Draw(
                tf.constant(file[f"in/z_{name}_{i}"], dtype),
                [tf.constant(x, dtype) for x in noise_maps(file, f"in/noise_{name}_{i}_")],
            )
            for name in config.updates
        }
        losses = step(tf.constant(file[f"in/x_{i}"], dtype), draws)
        for name in config.updates:
            yield f"loss_{name}_{i}", relative_error(losses[name], file[f"out/loss_{name}_{i}"])
        ours = read_weights(trainer.alae, before)
        theirs = subset(file, f"after_{i}/")
        if missing := sorted(ours.keys() ^ theirs.keys()):
            raise OfficialError(f"after_{i}/ and before/ differ: {', '.join(missing)}")
        for name in ours:
            if name != ZERO_GRADIENT:
                yield f"after_{i}/{name}", relative_error(ours[name], theirs[name])
