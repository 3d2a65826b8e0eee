"""The authors' tensors ↔ ours: a table of names and translations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from alae_tf.config import Config
from alae_tf.config.architecture import width
from alae_tf.networks.alae import ALAE
from alae_tf.system.errors import AlaeError

ARCHITECTURE = (
    "architecture",
    "levels",
    "start_channels",
    "max_channels",
    "latent_size",
    "mapping_layers",
    "image_channels",
    "discriminator",
    "encoder_head",
    "latent_regression",
)
FUSED_FROM = 128  # output pixels from which the authors store G's upsampling kernels transposed


class OfficialError(AlaeError):
    """A file does not have the authors' layout; the message names the file and the tensors."""


class Entry(NamedTuple):
    """One of the authors' tensors: its name, our variable, and the two translations.

    Attributes:
        name: the authors' name.
        shape: theirs.
        variable: ours; None for a constant that both hold (the blur's kernel).
        to_ours: their array → ours.
        to_theirs: (our array, their array before) → theirs.
    """

    name: str
    shape: tuple[int, ...]
    variable: Any  # a keras.Variable, or None
    to_ours: Callable[[np.ndarray], np.ndarray]
    to_theirs: Callable[[Any, np.ndarray], np.ndarray]


def same(name: str, variable, shape: tuple[int, ...] | None = None) -> Entry:
    """A tensor stored alike on both sides; if theirs has a `shape`, up to axes of length 1."""
    ours, shape = tuple(variable.shape), shape or tuple(variable.shape)
    return Entry(
        name,
        shape,
        variable,
        lambda theirs: theirs.reshape(ours),
        lambda ours, _: ours.reshape(shape),
    )


def per_channel(name: str, variable) -> Entry:
    """One number per channel; PyTorch stores [1, channels, 1, 1]."""
    return same(name, variable, (1, *variable.shape, 1, 1))


def transposed(name: str, variable, axes: tuple[int, ...], flip: bool = False) -> Entry:
    """A kernel: ours is theirs with its axes in this order and, for `flip`, rotated by 180°."""
    back = tuple(np.argsort(axes).tolist())
    turn = (slice(None, None, -1),) * 2 if flip else ()
    return Entry(
        name,
        tuple(variable.shape[axis] for axis in back),
        variable,
        lambda theirs: theirs.transpose(axes)[turn],
        lambda ours, _: ours[turn].transpose(back),
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
    """D's last layer: only output number `latent` of their 2·latent outputs is used."""
    latent = layer.inputs
    used = slice(latent, latent + 1)

    def put(ours, theirs):
        theirs = theirs.copy()
        theirs[used] = ours
        return theirs

    yield Entry(
        f"{name}.weight",
        (2 * latent, latent),
        layer.kernel,
        lambda theirs: theirs[used].T,
        lambda ours, theirs: put(ours.T, theirs),
    )
    yield Entry(f"{name}.bias", (2 * latent,), layer.bias, lambda theirs: theirs[used], put)


def constant(name: str, variable) -> Entry:
    """The learned constant; PyTorch stores [1, channels, 4, 4]."""
    height, width, channels = variable.shape
    return Entry(
        name,
        (1, channels, height, width),
        variable,
        lambda theirs: theirs[0].transpose(1, 2, 0),
        lambda ours, _: ours.transpose(2, 0, 1)[np.newaxis],
    )


def blur_kernel(name: str, channels: int) -> Entry:
    """The blur, which the authors store as a weight. Ours is a constant; theirs must equal it."""
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16

    def check(theirs):
        if not np.allclose(theirs, kernel, atol=1e-6):
            raise OfficialError(f"{name}: expected the blur kernel [1,2,1]⊗[1,2,1]/16")
        return theirs

    return Entry(name, (channels, 1, 3, 3), None, check, lambda _, theirs: theirs)


def table(alae: ALAE) -> list[Entry]:
    """Every tensor of the authors' StyleALAE, by their names, with our variable."""
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
        entries.append(per_channel(f"{name}.bias_1", block.bias_1))
        entries.append(per_channel(f"{name}.bias_2", block.bias_2))
        entries += dense(f"{name}.style_1", block.to_w_1)
        entries += dense(f"{name}.style_2", block.to_w_2)
        entries.append(blur_kernel(f"{name}.blur.weight", block.bias_1.shape[0]))
    entries.append(constant("G/const", alae.G.constant))
    for i, (layer, block) in enumerate(zip(alae.G.to_rgb, alae.G.blocks, strict=True)):
        name = f"G/decode_block.{i}"
        entries += convolution(f"G/to_rgb.{i}.to_rgb", layer)
        if block.conv_1 is not None and 4 * 2**i < FUSED_FROM:
            entries += convolution(f"{name}.conv_1", block.conv_1)
        elif block.conv_1 is not None:  # [in, out, h, w], of a transposed convolution
            kernel = block.conv_1.kernel
            entries.append(transposed(f"{name}.conv_1.weight", kernel, (2, 3, 0, 1), flip=True))
        entries += convolution(f"{name}.conv_2", block.conv_2)
        for k in (1, 2):
            entries.append(per_channel(f"{name}.noise_weight_{k}", getattr(block, f"noise_{k}")))
            entries.append(per_channel(f"{name}.bias_{k}", getattr(block, f"bias_{k}")))
            entries += dense(f"{name}.style_{k}", getattr(block, f"style_{k}"))
        entries.append(blur_kernel(f"{name}.blur.weight", block.bias_1.shape[0]))
    return entries


def load_weights(alae: ALAE, tensors: Mapping[str, np.ndarray]) -> None:
    """Assigns the authors' tensors, by name, to our variables.

    Raises:
        OfficialError: a tensor is missing, left over, or of another shape; lists them all.
    """
    entries = table(alae)
    wrong = [f"missing: {entry.name}" for entry in entries if entry.name not in tensors]
    wrong += [f"unknown: {name}" for name in tensors.keys() - {entry.name for entry in entries}]
    values = {}
    for entry in entries:
        if entry.name not in tensors:
            continue
        theirs = tensors[entry.name]
        if theirs.shape != entry.shape:
            wrong.append(
                f"shape: {entry.name} is {list(theirs.shape)}, expected {list(entry.shape)}"
            )
            continue
        try:
            values[entry.name] = entry.to_ours(theirs)
        except OfficialError as error:
            wrong.append(str(error))
    if wrong:
        raise OfficialError("the tensors do not fit the config:\n  " + "\n  ".join(sorted(wrong)))
    for entry in entries:
        if entry.variable is not None:
            entry.variable.assign(values[entry.name])


def read_weights(alae: ALAE, before: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our variables in the authors' layout; `before` supplies the numbers that we do not store."""
    return {
        entry.name: entry.to_theirs(
            None if entry.variable is None else entry.variable.numpy(), before[entry.name]
        )
        for entry in table(alae)
    }


def differences(ours: Config, theirs: Config, of_ours: str, of_theirs: str) -> list[str]:
    """Differences between the networks of two configs, as "levels: 9 in A, 4 in B"."""
    return [
        f"{name}: {getattr(ours, name)} in {of_ours}, {getattr(theirs, name)} in {of_theirs}"
        for name in ARCHITECTURE
        if networks(ours)[name] != networks(theirs)[name]
    ]


def networks(config: Config) -> dict[str, Any]:
    """The settings that determine shapes; `max_channels` up to the widest layer that exists."""
    values = {name: getattr(config, name) for name in ARCHITECTURE}
    reached = width(config.start_channels, config.max_channels, config.levels)
    return values | {"max_channels": reached}
