"""The authors' tensors ↔ ours: a table of names and translations."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
PER_CHANNEL = (0, 2, 3)  # axes of one number per channel, which PyTorch stores as [1, C, 1, 1]
FUSED_FROM = 128  # output pixels from which the authors store G's upsampling kernels transposed


class OfficialError(AlaeError):
    """A file does not have the authors' layout; the message names the file and the tensors."""


class Entry(NamedTuple):
    """One of the authors' tensors, our variable, and the two translations."""

    name: str  # the authors' name
    shape: tuple[int, ...]  # theirs
    variable: Any  # ours; None for a constant that both hold (the blur's kernel)
    to_ours: Callable[[np.ndarray], np.ndarray]  # their array → ours
    to_theirs: Callable[[Any, np.ndarray], np.ndarray]  # (ours, their array before) → theirs


def entry(
    name: str, variable: Any, axes: Sequence[int] = (), ones: Sequence[int] = (), flip: bool = False
) -> Entry:
    """A tensor that both hold: ours has the axes of theirs in the order `axes` (default: the same),
    without those of length 1 at `ones`, counted in our order; with `flip` it is rotated by 180°."""
    ours = tuple(variable.shape)
    whole = np.expand_dims(np.empty(ours, bool), tuple(ones)).shape
    axes = axes or range(len(whole))
    back = np.argsort(axes).tolist()
    turn = (slice(None, None, -1),) * 2 if flip else ()
    return Entry(
        name,
        tuple(whole[axis] for axis in back),
        variable,
        lambda theirs: theirs.transpose(axes)[turn].reshape(ours),
        lambda ours, _: ours.reshape(whole)[turn].transpose(back),
    )


def dense(name: str, layer) -> Iterator[Entry]:
    """A dense layer; PyTorch stores [out, in]."""
    yield entry(f"{name}.weight", layer.kernel, axes=(1, 0))
    yield entry(f"{name}.bias", layer.bias)


def convolution(name: str, layer) -> Iterator[Entry]:
    """A convolution; PyTorch stores [out, in, h, w]."""
    yield entry(f"{name}.weight", layer.kernel, axes=(2, 3, 1, 0))
    if layer.bias is not None:
        yield entry(f"{name}.bias", layer.bias)


def logit_layer(name: str, layer) -> Iterator[Entry]:
    """D's last layer: only output number `latent` of their 2·latent outputs is used."""
    latent = layer.inputs
    used = slice(latent, latent + 1)

    def put(ours, theirs):
        theirs = theirs.copy()
        theirs[used] = ours.T
        return theirs

    for end, variable in ((".weight", layer.kernel), (".bias", layer.bias)):
        shape = (2 * latent, *variable.shape[:-1])
        yield Entry(name + end, shape, variable, lambda theirs: theirs[used].T, put)


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
    entries = [entry("w_avg/buff", alae.w_avg)]
    for i, layer in enumerate(alae.F.dense):
        entries += dense(f"F/map_blocks.{i}.fc", layer)
    *hidden, last = alae.D.dense
    for i, layer in enumerate(hidden):
        entries += dense(f"D/map_blocks.{i}", layer)
    entries += logit_layer(f"D/map_blocks.{len(hidden)}", last)
    for i, (layer, block) in enumerate(zip(alae.E.from_rgb, alae.E.blocks, strict=True)):
        name = f"E/encode_block.{i}"
        entries += convolution(f"E/from_rgb.{i}.from_rgb", layer)
        for k in (1, 2):
            entries += convolution(f"{name}.conv_{k}", getattr(block, f"conv_{k}"))
            entries.append(entry(f"{name}.bias_{k}", getattr(block, f"bias_{k}"), ones=PER_CHANNEL))
            entries += dense(f"{name}.style_{k}", getattr(block, f"to_w_{k}"))
        entries.append(blur_kernel(f"{name}.blur.weight", block.bias_1.shape[0]))
    entries.append(entry("G/const", alae.G.constant, axes=(2, 3, 1, 0), ones=[3]))  # [1, C, 4, 4]
    for i, (layer, block) in enumerate(zip(alae.G.to_rgb, alae.G.blocks, strict=True)):
        name = f"G/decode_block.{i}"
        entries += convolution(f"G/to_rgb.{i}.to_rgb", layer)
        if block.conv_1 is not None and 4 * 2**i < FUSED_FROM:
            entries += convolution(f"{name}.conv_1", block.conv_1)
        elif block.conv_1 is not None:  # [in, out, h, w], of a transposed convolution
            kernel = block.conv_1.kernel
            entries.append(entry(f"{name}.conv_1.weight", kernel, axes=(2, 3, 0, 1), flip=True))
        entries += convolution(f"{name}.conv_2", block.conv_2)
        for k in (1, 2):
            for end, attribute in (("noise_weight", "noise"), ("bias", "bias")):
                variable = getattr(block, f"{attribute}_{k}")
                entries.append(entry(f"{name}.{end}_{k}", variable, ones=PER_CHANNEL))
            entries += dense(f"{name}.style_{k}", getattr(block, f"style_{k}"))
        entries.append(blur_kernel(f"{name}.blur.weight", block.bias_1.shape[0]))
    return entries


def load_weights(alae: ALAE, tensors: Mapping[str, np.ndarray]) -> None:
    """Assigns the authors' tensors, by name, to our variables.

    Raises:
        OfficialError: a tensor is missing, left over, or of another shape; the message lists all.
    """
    entries = table(alae)
    wrong = [f"unknown: {name}" for name in tensors.keys() - {entry.name for entry in entries}]
    values = {}
    for entry in entries:
        theirs = tensors.get(entry.name)
        if theirs is None:
            wrong.append(f"missing: {entry.name}")
        elif theirs.shape != entry.shape:
            shapes = f"{list(theirs.shape)}, expected {list(entry.shape)}"
            wrong.append(f"shape: {entry.name} is {shapes}")
        else:
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

    def value(config: Config, name: str) -> Any:
        if name == "max_channels":  # up to the widest layer that exists
            return width(config.start_channels, config.max_channels, config.levels)
        return getattr(config, name)

    return [
        f"{name}: {getattr(ours, name)} in {of_ours}, {getattr(theirs, name)} in {of_theirs}"
        for name in ARCHITECTURE
        if value(ours, name) != value(theirs, name)
    ]
