"""The kinds of model, one record each.

To add a kind, write its networks in a new file, add its record to `ARCHITECTURES`, and add its own
settings to `Config`. No TensorFlow, which makes checking a config fast.
"""

from __future__ import annotations

import dataclasses
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alae_tf.config import Config

# Whether a setting is valid, its name, and a description of valid values.
Check = tuple[bool, str, str]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A kind of model."""

    name: str  # in --architecture
    title: str  # in texts for users
    build: str  # "module:function": (config, dtype) → networks by the letters G, E, F and D
    settings: tuple[str, ...]  # settings that only this kind reads
    ignored: tuple[str, ...]  # settings that it allows in its configs and does not read
    check: Callable[[Config], Iterator[Check]]  # the checks of its settings
    styles: Callable[[Config], int]  # number of style vectors that G takes
    resolution: Callable[[Config, int], int]  # (config, level) → side of the images, in pixels
    # (config, level) → size of the largest feature map of one image in E or G, in numbers
    widest: Callable[[Config, int], int]
    # (G, level) → kernels [latent, n] of the dense layers that compute the styles of a level from
    # w; an empty list if G has no style layers
    style_kernels: Callable[[Any, int], list]
    int8: str  # TFLite's name of the operator that full int8 computes in 8 bits

    def networks(self, config: Config, dtype: str = "float32") -> dict[str, Any]:
        """New networks by letter; see `build_alae`."""
        return pkgutil.resolve_name(self.build)(config, dtype)


def width(start_channels: int, max_channels: int, halvings: int) -> int:
    """Channels of StyleALAE's feature maps at 1 / 2^halvings of the full resolution."""
    return min(max_channels, start_channels * 2**halvings)


def _check_style(config: Config) -> Iterator[Check]:
    start = config.start_channels
    right = f"at least --start_channels={start}"
    yield config.max_channels >= start, "max_channels", right
    layers = config.encoder_codes == "layers"
    right = f"w with --encoder_head={config.encoder_head}"
    yield not layers or config.encoder_head == "styles", "encoder_codes", right
    right = "w with --latent_regression=z"
    yield not layers or config.latent_regression == "w", "encoder_codes", right
    right = "separate with --encoder_head=readout, which reads the features of that D"
    separate = config.discriminator == "separate"
    yield separate or config.encoder_head != "readout", "discriminator", right
    right = f"d:N or e:N with N in [1, {config.levels}], the number of blocks (--levels)"
    known = re.fullmatch("[de]:[0-9]{1,9}", config.freeze) is not None
    yield not config.freeze or known and 1 <= config.frozen[1] <= config.levels, "freeze", right
    right = "d:N with --encoder_head=readout, which has no blocks"
    readout = config.encoder_head == "readout"
    yield not readout or not config.freeze.startswith("e"), "freeze", right


def _check_mlp(config: Config) -> Iterator[Check]:
    yield config.levels == 1, "levels", "1 with --architecture=mlp, which does not grow"
    yield config.precision == "float32", "precision", "float32 with --architecture=mlp"


def _widest_style(config: Config, level: int) -> int:
    channels = width(config.start_channels, config.max_channels, config.levels - 1 - level)
    return config.level_resolution(level) ** 2 * channels


STYLE = Architecture(
    name="style",
    title="StyleALAE",
    build="alae_tf.networks.style:build",
    settings=("start_channels", "max_channels", "encoder_head", "encoder_codes", "freeze"),
    ignored=(),
    check=_check_style,
    styles=lambda config: 2 * config.levels,
    resolution=lambda config, level: 4 * 2**level,
    widest=_widest_style,
    style_kernels=lambda G, level: [G.blocks[level].style_1.kernel, G.blocks[level].style_2.kernel],
    int8="CONV_2D",
)
MLP = Architecture(
    name="mlp",
    title="MLP-ALAE",
    build="alae_tf.networks.mlp:build",
    settings=("image_size", "hidden_size", "output_slope"),
    ignored=("epochs_by_level", "style_mixing"),
    check=_check_mlp,
    styles=lambda config: 1,
    resolution=lambda config, level: config.image_size,
    widest=lambda c, level: max(c.hidden_size, c.image_size**2 * c.image_channels),
    style_kernels=lambda G, level: [],
    int8="FULLY_CONNECTED",
)
ARCHITECTURES = {each.name: each for each in (STYLE, MLP)}
