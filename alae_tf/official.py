"""The authors' weights and numbers ↔ ours.

    python -m alae_tf.official verify tests/goldens/style32_forward.npz

builds the model of the file's config, takes its weights by name, computes every quantity in the
file and prints the largest error of each.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from alae_tf import ops
from alae_tf.config import Config, ConfigError
from alae_tf.model import ALAE, build_alae
from alae_tf.train_step import UPDATES, Draw, Iteration, Trainer

FUSED_FROM = 128  # output pixels from which the authors store G's upsampling kernels transposed
ZERO_GRADIENT = "G/decode_block.0.bias_1"  # its step is the sign of rounding noise (see `verify`)


class OfficialError(ValueError):
    """A file is not of the authors' form; the message names the file and the tensors."""


class Entry(NamedTuple):
    """One of the authors' tensors: its name, our variable, and the two translations.

    Attributes:
        name: the authors' name.
        variable: ours; None for a constant that both hold (the blur's kernel).
        to_ours: their array → ours.
        to_theirs: (our array, their array before) → theirs.
    """

    name: str
    variable: object
    to_ours: Callable[[np.ndarray], np.ndarray]
    to_theirs: Callable[[np.ndarray, np.ndarray], np.ndarray]


def same(name: str, variable) -> Entry:
    """A tensor stored alike on both sides, but for axes of length 1."""
    return Entry(
        name,
        variable,
        lambda theirs: theirs.reshape(tuple(variable.shape)),
        lambda ours, theirs: ours.reshape(theirs.shape),
    )


def transposed(name: str, variable, axes: tuple[int, ...], flip: bool = False) -> Entry:
    """A kernel: ours is theirs with its axes in this order, and turned by 180° for `flip`."""
    back = tuple(np.argsort(axes))
    turn = (slice(None, None, -1),) * 2 if flip else ()
    return Entry(
        name,
        variable,
        lambda theirs: theirs.transpose(axes)[turn],
        lambda ours, theirs: ours[turn].transpose(back),
    )


def dense(name: str, layer) -> Iterator[Entry]:
    """A dense layer; PyTorch stores [out, in]."""
    yield transposed(f"{name}.weight", layer.kernel, (1, 0))
    yield same(f"{name}.bias", layer.bias)


def convolution(name: str, layer) -> Iterator[Entry]:
    """A convolution; PyTorch stores [out, in, h, w]."""
    yield transposed(f"{name}.weight", layer.kernel, (2, 3, 1, 0))
    if layer.bias is not None:
        yield same(f"{name}.bias", layer.bias)


def logit_layer(name: str, layer) -> Iterator[Entry]:
    """D's last layer: of their 2·latent outputs only number `latent` is used."""

    def used(theirs):
        return slice(layer.inputs, layer.inputs + 1) if len(theirs) > 1 else slice(0, 1)

    def put(ours, theirs):
        theirs = theirs.copy()
        theirs[used(theirs)] = ours
        return theirs

    yield Entry(
        f"{name}.weight",
        layer.kernel,
        lambda theirs: theirs[used(theirs)].T,
        lambda ours, theirs: put(ours.T, theirs),
    )
    yield Entry(f"{name}.bias", layer.bias, lambda theirs: theirs[used(theirs)], put)


def constant(name: str, variable) -> Entry:
    """The learned constant; PyTorch stores [1, channels, 4, 4]."""
    return Entry(
        name,
        variable,
        lambda theirs: theirs[0].transpose(1, 2, 0),
        lambda ours, theirs: ours.transpose(2, 0, 1)[np.newaxis],
    )


def blur_kernel(name: str) -> Entry:
    """The blur, which the authors keep among the weights: ours is a constant, so it must fit."""
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16

    def check(theirs):
        if theirs.shape[2:] != (3, 3) or not np.allclose(theirs, kernel, atol=1e-6):
            raise OfficialError(f"{name}: expected the blur kernel [1,2,1]⊗[1,2,1]/16")
        return theirs

    return Entry(name, None, check, lambda ours, theirs: theirs)


def table(alae: ALAE) -> list[Entry]:
    """Every tensor of the authors' StyleALAE, in their naming, and where it goes in ours."""
    entries = [same("w_avg/buff", alae.w_avg)]
    for i, layer in enumerate(alae.F.dense):
        entries += dense(f"F/map_blocks.{i}.fc", layer)
    *hidden, last = alae.D.dense
    for i, layer in enumerate(hidden):
        entries += dense(f"D/map_blocks.{i}", layer)
    entries += logit_layer(f"D/map_blocks.{len(hidden)}", last)
    for i, (layer, block) in enumerate(zip(alae.E.from_rgb, alae.E.blocks, strict=True)):
        name = f"E/encode_block.{i}"
        entries += convolution(f"E/from_rgb.{i}.from_rgb", layer)
        entries += convolution(f"{name}.conv_1", block.conv_1)
        entries += convolution(f"{name}.conv_2", block.conv_2)
        entries += [same(f"{name}.bias_1", block.bias_1), same(f"{name}.bias_2", block.bias_2)]
        entries += dense(f"{name}.style_1", block.to_w_1)
        entries += dense(f"{name}.style_2", block.to_w_2)
        entries.append(blur_kernel(f"{name}.blur.weight"))
    entries.append(constant("G/const", alae.G.constant))
    for i, (layer, block) in enumerate(zip(alae.G.to_rgb, alae.G.blocks, strict=True)):
        name = f"G/decode_block.{i}"
        entries += convolution(f"G/to_rgb.{i}.to_rgb", layer)
        if block.conv_1 is not None and 4 * 2**i < FUSED_FROM:
            entries += convolution(f"{name}.conv_1", block.conv_1)
        elif block.conv_1 is not None:  # [in, out, h, w], to be run backwards
            kernel = block.conv_1.kernel
            entries.append(transposed(f"{name}.conv_1.weight", kernel, (2, 3, 0, 1), flip=True))
        entries += convolution(f"{name}.conv_2", block.conv_2)
        for k in (1, 2):
            entries.append(same(f"{name}.noise_weight_{k}", getattr(block, f"noise_{k}")))
            entries.append(same(f"{name}.bias_{k}", getattr(block, f"bias_{k}")))
            entries += dense(f"{name}.style_{k}", getattr(block, f"style_{k}"))
        entries.append(blur_kernel(f"{name}.blur.weight"))
    return entries


def load_weights(alae: ALAE, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes the authors' tensors, by name, into our variables.

    Raises:
        OfficialError: a tensor is missing, left over, or of another shape; lists them all.
    """
    entries = table(alae)
    wrong = [f"missing: {entry.name}" for entry in entries if entry.name not in tensors]
    wrong += [f"not known: {name}" for name in tensors.keys() - {entry.name for entry in entries}]
    values = {}
    for entry in entries:
        if entry.name not in tensors:
            continue
        theirs = tensors[entry.name]
        try:
            values[entry.name] = entry.to_ours(theirs)
        except OfficialError as error:
            wrong.append(str(error))
            continue
        except (ValueError, IndexError):
            wrong.append(f"shape: {entry.name} is {list(theirs.shape)}")
            continue
        ours = values[entry.name].shape if entry.variable is None else entry.variable.shape
        if values[entry.name].shape != tuple(ours):
            expected = list(entry.to_theirs(np.zeros(ours, np.float32), theirs).shape)
            wrong.append(f"shape: {entry.name} is {list(theirs.shape)}, expected {expected}")
    if wrong:
        raise OfficialError("the tensors do not fit the config:\n  " + "\n  ".join(sorted(wrong)))
    for entry in entries:
        if entry.variable is not None:
            entry.variable.assign(values[entry.name])


def read_weights(alae: ALAE, before: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our variables in the authors' layout; `before` fills what only the authors keep."""
    return {
        entry.name: entry.to_theirs(
            None if entry.variable is None else entry.variable.numpy(), before[entry.name]
        )
        for entry in table(alae)
    }


def read_config(meta: Mapping[str, object], **changes) -> Config:
    """The authors' settings, as a golden file names them → a Config."""
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


def verify(path: str | Path) -> Iterator[tuple[str, float]]:
    """Computes every quantity in a golden file again.

    Args:
        path: an `.npz` of numbers from the authors' model: a forward file (`weights/…`) or one
            of two training iterations (`before/…`, `after_0/…`, `after_1/…`).

    Yields:
        (name of the quantity, largest absolute error over the largest entry). In the training
        files `G/decode_block.0.bias_1` is left out: while the constant is uniform the instance
        norm removes that bias, so its true gradient is zero and its step is the sign of
        rounding noise.

    Raises:
        OfficialError: no such file, not of this form, or its tensors do not fit its config.
    """
    file = read_npz(path)
    try:
        meta = json.loads(bytes(file["meta/config"]))
        if "in/x_0" in file:
            yield from verify_training(file, meta)
        else:
            yield from verify_forward(file, meta)
    except KeyError as error:
        raise OfficialError(f"{path}: no entry {error}") from None
    except (OfficialError, ConfigError, json.JSONDecodeError) as error:
        raise OfficialError(f"{path}: {error}") from None


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Reads an `.npz` without unpickling anything."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise OfficialError(f"{path}: no such file") from None
    except Exception as error:  # damaged bytes make zipfile and zlib raise nearly anything
        raise OfficialError(f"{path}: not a NumPy .npz archive ({error})") from None


def subset(file: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The entries below `prefix`, without it."""
    return {name.removeprefix(prefix): file[name] for name in file if name.startswith(prefix)}


def noise_maps(file: Mapping[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """The noise maps `prefix`0, `prefix`1, … in the order of use."""
    maps = subset(file, prefix)
    return [maps[str(k)] for k in range(sum(name.isdigit() for name in maps))]


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest absolute difference over the largest entry of `theirs` (over 1 if that is 0)."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        raise OfficialError(f"got shape {list(ours.shape)}, the file has {list(theirs.shape)}")
    return float(np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1.0))


def verify_forward(file: Mapping[str, np.ndarray], meta: Mapping) -> Iterator[tuple[str, float]]:
    """w, encode, logit and decode at every level and blend in the file; truncated generation."""
    alae = build_alae(read_config(meta))
    load_weights(alae, subset(file, "weights/"))
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
            psi, cutoff = file["meta/truncation_psi"], file["meta/truncation_cutoff"]
            styles = alae.map(file["in/z"])
            # The released model moves w_avg whenever it generates, before it truncates.
            mean = tf.reduce_mean(styles, axis=0)
            alae.w_avg.assign(ops.lerp(mean, file["weights/w_avg/buff"], meta["dlatent_avg_beta"]))
            styles = alae.truncate(styles, psi, cutoff)
            ours = alae.decode(styles, noise=noise_maps(file, "in/noise_truncated_"))
        else:
            raise OfficialError(f"out/{name}: a quantity that is not known here")
        yield name, relative_error(ours, theirs)


def verify_training(file: Mapping[str, np.ndarray], meta: Mapping) -> Iterator[tuple[str, float]]:
    """Losses and every tensor after each iteration; F moves in update 3, as in that model."""
    level, blend = int(file["meta/level"]), float(file["meta/blend"])
    batch = len(file["in/x_0"])
    config = read_config(
        meta,
        latent_update="EFG",
        batch_by_level=(batch,),
        learning_rate_by_level=(float(file["meta/lr"]),),
    )
    trainer = Trainer(config)
    before = subset(file, "before/")
    load_weights(trainer.alae, before)
    trainer.set_learning_rate(level)
    iterate = tf.function(Iteration(trainer, level, tf.constant(blend), batch, r1=True))
    for i in range(sum(name.startswith("in/x_") for name in file)):
        draws = {
            name: Draw(file[f"in/z_{name}_{i}"], noise_maps(file, f"in/noise_{name}_{i}_"))
            for name in UPDATES
        }
        losses = iterate(tf.constant(file[f"in/x_{i}"]), draws)
        for name in UPDATES:
            yield f"loss_{name}_{i}", relative_error(losses[name], file[f"out/loss_{name}_{i}"])
        ours = read_weights(trainer.alae, before)
        for name, theirs in subset(file, f"after_{i}/").items():
            if name != ZERO_GRADIENT:
                yield f"after_{i}/{name}", relative_error(ours[name], theirs)


def run_verify(args: argparse.Namespace) -> int:
    """Prints the table; 1 if an error is beyond the tolerance, else 0."""
    worst, worst_name, failed = -1.0, "", 0
    print(f"{'relative error':>15}  quantity")
    for name, error in verify(args.file):
        beyond = not error <= args.tolerance  # also catches NaN
        failed += beyond
        print(f"{error:15.2e}  {name}{'  <-- beyond the tolerance' if beyond else ''}")
        if not error <= worst:
            worst, worst_name = error, name
    verdict = f"{failed} beyond" if failed else "all within"
    print(f"{args.file}: {verdict} {args.tolerance:g}; largest {worst:.2e} ({worst_name})")
    return 1 if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m alae_tf.official", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("verify", help="compare with numbers of the authors' model")
    command.add_argument("file", help="an .npz of weights, inputs and outputs")
    command.add_argument("--tolerance", type=float, default=1e-4, help="default: 1e-4")
    command.set_defaults(run=run_verify)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except OfficialError as error:
        print(f"official: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
