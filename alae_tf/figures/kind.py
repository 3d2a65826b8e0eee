"""The record of a kind of figure, and its inputs. Imports TensorFlow only to load a model."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alae_tf import data
from alae_tf.images import alignment, canvas, files
from alae_tf.runs.directory import existing_run, images_of
from alae_tf.system.arguments import between, several
from alae_tf.system.errors import AlaeError, report

if TYPE_CHECKING:
    from alae_tf.model.autoencoder import Autoencoder

FILES, SET = "files", "set"  # values of `Kind.images`
MOST_FILES = 48  # drawn without --count
Flag = dict[str, Any]  # keyword arguments of argparse's `add_argument`
Drawing = np.ndarray | list[np.ndarray] | bytes  # uint8 [H, W, 3]; frames of it; a file


class FigureError(AlaeError):
    """A figure cannot be drawn from the given flags; the message says what would be right."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of figure."""

    about: str  # one line on the picture
    draw: Callable[..., Drawing]  # called with a `Figure` and the kind's own flags by name
    count: int  # default of --count, the number of images
    # Values that --images accepts. FILES: files, folders or one data set; SET: one data set; None:
    # the kind has no --images.
    images: str | None = FILES
    # The kind's own flags by name; see `number`, `choice`, `names` and `switch`.
    flags: Mapping[str, Flag] = dataclasses.field(default_factory=dict)
    # Called like `draw` before TensorFlow is imported; raises FigureError.
    check: Callable[..., None] | None = None
    seconds: float = 0.0  # duration of a frame in GIF and WebP files; 0: not animated
    formats: Sequence[str] = canvas.FORMATS  # accepted file formats
    one_checkpoint: bool = True  # whether it draws a single checkpoint and has --checkpoint


@dataclasses.dataclass
class Figure:
    """The inputs of a figure; model and images are loaded at their first use."""

    kind: Kind
    run_dir: str | Path  # run directory or shipped model
    format: str = "png"  # of the file, one of `kind.formats`
    asked: int | None = None  # the value of --count, if given
    seed: int = 0  # of all random numbers
    # Image files and folders, or the URI of one data set; empty: the run's own data.
    named: Sequence[str] = ()
    align: str | None = None  # crop of faces in image files, see `alae_tf.images.alignment.CROPS`
    checkpoint: int | str | None = None  # images seen at it, "best" or "newest"; None: the newest
    weights: str = "ema"  # or "raw"

    @property
    def count(self) -> int:
        """Number of images to draw."""
        return self.asked or self.kind.count

    @property
    def moving(self) -> bool:
        """Whether the file is an animation."""
        return self.kind.seconds > 0 and self.format in canvas.ANIMATED

    def steps(self, asked: int | None) -> int:
        """Number of images on a path: the value of --steps, see `STEPS`."""
        return asked or (24 if self.moving else 7)

    @property
    def of_files(self) -> bool:
        """Whether --images names files and folders rather than a data set."""
        return bool(self.named) and not data.is_uri(self.named[0])

    @functools.cached_property
    def model(self) -> Autoencoder:
        """The run's model at `checkpoint`."""
        return self.model_at(self.checkpoint)

    def model_at(self, checkpoint: int | str | None) -> Autoencoder:
        """The run's model at a checkpoint; see `checkpoint`."""
        from alae_tf.model.autoencoder import load_model

        return load_model(self.run_dir, checkpoint, self.weights)

    def source(self) -> data.Source:
        """The data set that --images names, or the run's own. Raises FigureError or DataError if
        that is not one data set of images with the model's channels."""
        if len(self.named) > 1 or self.of_files:
            raise FigureError(
                f"--images={' '.join(self.named)}: expected one data set such as folder:DIR."
            )
        if self.named:
            uri = self.named[0]
        else:
            path = existing_run(self.run_dir)
            uri = images_of(path, self.model.config.data, "--images")
        try:
            source = data.open_source(uri)
        except data.DataError as error:
            message = str(error).replace(f"--data={uri}", f"--images={uri}")
            if not self.named:
                message = f"the run's own images are unavailable ({error}); give --images."
            raise FigureError(message) from None
        data.check_channels(source, self.model.config.image_channels, "--images")
        return source

    def held_out(self) -> data.Source:
        """The held-out images of `source`, or all images if none are held out."""
        source = self.source()
        return source if source.held_out is None else source.held_out

    def images(self, count: int | None = None) -> np.ndarray:
        """The files that --images names, or evenly spread held-out images: uint8 [N, H, W, C], N at
        most `count`, by default the figure's."""
        count = count or self.count
        if self.of_files:
            return self.from_files(self.named, count if self.asked else None)
        source = self.held_out()
        if len(source) < count:
            report("figures", f"--count={count}: drawing {len(source)} images, which is all.")
        return source.take(data.evenly(source, min(count, len(source))), self.model.resolution)

    def from_files(self, named: Sequence[str], count: int | None = None) -> np.ndarray:
        """Images from files and folders: uint8 [N, H, W, C], at most `count` (default: 48)."""
        found, side = files.find(named), self.model.resolution
        channels = self.model.config.image_channels
        if count is None and len(found) > MOST_FILES:
            first = f"the first {MOST_FILES} of {len(found):,} files"
            report("figures", f"drawing {first}; --count=N draws N.")
        found = found[: count or MOST_FILES]
        if not self.align:
            return files.read_images(found, side, channels, leave_out=True)
        if channels == 1:
            raise FigureError(f"--align={self.align}: needs a model of colour images.")
        return alignment.read_faces(found, self.align, side)


def number(limits: tuple[float, float], default: Any, about: str, many: bool = False) -> Flag:
    """A flag with a number between two limits, a whole number if the limits are ints; with `many`,
    a flag with several numbers.

    If `default` is a text, the default is None and the text describes it in the help.
    """
    low, high = limits
    read = between(low, high, type(low))
    return {
        "type": several(read) if many else read,
        "default": None if isinstance(default, str) else default,
        "metavar": ("N" if isinstance(low, int) else "X") + ",…" * many,
        "help": f"{about} ({low:,.0f} to {high:,.0f}). Default: {default}",
    }


def choice(choices: Sequence[str], about: str) -> Flag:
    """A flag with a word out of `choices`, by default the first."""
    help = f"{about}. Default: {choices[0]}"
    return {"choices": choices, "default": choices[0], "help": help}


def names(metavar: str, default: str, about: str) -> Flag:
    """A flag with a list of words. Its default is None; the text `default` says in the help what
    that means."""
    return {"type": several(str), "metavar": metavar, "help": f"{about}. Default: {default}"}


STEPS = number(
    (2, 1000),
    "7, or 24 in an animation",
    "images on each path or along each direction; more make an animation smoother and longer",
)


def switch(about: str) -> Flag:
    """A flag without a value, by default off."""
    return {"action": "store_true", "help": f"{about}. Default: off"}
