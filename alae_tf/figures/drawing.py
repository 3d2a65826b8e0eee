"""What `python -m alae_tf.figures` asks for: models and images loaded, a figure drawn."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from alae_tf import data
from alae_tf.autoencoder import Autoencoder, load_model
from alae_tf.data import DataError, Source
from alae_tf.figures import (
    COUNTS,
    SECONDS,
    FigureError,
    embedding,
    generate,
    interpolate,
    mix,
    nearest,
    reconstruct,
    training,
    traverse,
)
from alae_tf.figures import project as project_
from alae_tf.images import alignment, canvas, files
from alae_tf.images.plots import class_plot
from alae_tf.latents import directions, levels
from alae_tf.runs.directory import checkpoint_numbers, images_of

FEWEST_POINTS = 5
MOST_FILES = 48  # drawn without --count
MOST_ROWS = 10  # checkpoints in a picture of training


def draw(args: argparse.Namespace, run_dir: Path) -> bytes:
    """The figure's file.

    Args:
        args: as `alae_tf.figures.__main__.parse` gives them.
        run_dir: of the run.

    Raises:
        AlaeError: what was asked for does not go with the run or its images.
    """
    try:
        return DRAW[args.kind](Figure(args, run_dir))
    except ValueError as error:  # of the Python API: psi, seeds
        if isinstance(error, FigureError):
            raise
        raise FigureError(re.sub(r"^levels '(.*?)'", r"--levels=\1", str(error))) from None


class Figure:
    """What a figure is made of, loaded when it is asked for.

    Args: as of `draw`.

    Attributes:
        args: as given; count: images.
        model: the run's.
    """

    def __init__(self, args: argparse.Namespace, run_dir: Path):
        self.args, self.run_dir = args, run_dir
        checkpoint = getattr(args, "checkpoint", None)
        self.model = load_model(run_dir, checkpoint, args.weights)
        self.count = args.count or COUNTS[args.kind]

    def source(self) -> Source:
        """All the images that --images names by a URI, or the run's own."""
        named = self.args.images or []
        uri = named[0] if named else images_of(self.run_dir, self.model.config.data)
        if len(named) > 1 or (named and not data.is_uri(uri)):
            raise FigureError(
                f"--images={' '.join(named)}: {self.args.kind} takes one set, as folder:DIR."
            )
        try:
            source = data.open_source(uri)
        except DataError as error:
            if named:
                told = str(error).replace(f"--data={uri}", f"--images={uri}")
                raise FigureError(told) from None
            raise FigureError(
                f"the run's own images are not here ({error}); name some by --images."
            ) from None
        data.check_channels(source, self.model.config.image_channels, "--images")
        return source

    def images(self) -> np.ndarray:
        """The images to draw: files as named, or `count` of a set's held-out ones, evenly spread:
        uint8 [N, H, W, C]."""
        named, model = self.args.images or [], self.model
        if named and not data.is_uri(named[0]):
            return self.from_files(named, self.count if self.args.count else None)
        source = self.source()
        source = source.held_out or source
        count = min(self.count, len(source))
        if count < self.count:
            print(f"figures: --count={self.count}: there are {count} images.", file=sys.stderr)
        places = np.linspace(0, len(source), count, endpoint=False).astype(int)
        return np.stack([source.fitted(int(i), model.resolution) for i in places])

    def from_files(self, named: list[str], count: int | None) -> np.ndarray:
        """Images of files and folders, `count` of them at most, else MOST_FILES."""
        found, channels = files.find(named), self.model.config.image_channels
        if count is None and len(found) > MOST_FILES:
            print(
                f"figures: the first {MOST_FILES} of {len(found):,} files; --count takes others.",
                file=sys.stderr,
            )
        found = found[: count or MOST_FILES]
        if self.args.align and channels == 3:
            return alignment.read_faces(found, self.args.align, self.model.resolution)
        if self.args.align:
            raise FigureError(f"--align={self.args.align}: the model takes grey images.")
        return files.read_images(found, self.model.resolution, channels, leave_out=True)

    def picture(self, picture: np.ndarray) -> bytes:
        """A file of one picture."""
        return canvas.encode([picture], self.args.format)

    def frames(self, frames: list[np.ndarray]) -> bytes:
        """A file of an animation."""
        return canvas.encode(frames, self.args.format, SECONDS[self.args.kind])


def draw_reconstruct(figure: Figure) -> bytes:
    if figure.args.mosaic:
        figure.count = figure.args.count or sum(reconstruct.MOSAIC)
        return figure.picture(reconstruct.mosaic(figure.model, figure.images()))
    return figure.picture(reconstruct.pairs(figure.model, figure.images()))


def draw_generate(figure: Figure) -> bytes:
    args = figure.args
    count = args.count or (8 if len(args.psi) > 1 else figure.count)
    return figure.picture(generate.generate(figure.model, count, args.seed, args.psi, args.noise))


def draw_interpolate(figure: Figure) -> bytes:
    args, model = figure.args, figure.model
    psi = args.psi[0] if args.psi else None
    if args.space == "z" and not args.random:
        raise FigureError("--space=z: E gives w, not z; go between random codes with --random.")
    images = None if args.random else figure.images()
    if (figure.count if images is None else len(images)) < 2:
        flag = "--images" if args.images else "--count"
        raise FigureError(f"{flag}: a path goes between two images at least.")
    if args.moving:
        return figure.frames(
            interpolate.animation(
                model, images, figure.count, args.steps, args.seed, args.space, psi
            )
        )
    if images is None:
        return figure.picture(
            interpolate.between_samples(model, figure.count, args.steps, args.seed, args.space, psi)
        )
    return figure.picture(interpolate.between_images(model, images, args.steps))


def draw_mix(figure: Figure) -> bytes:
    args = figure.args
    ranges = (args.levels or "").split(",") if args.levels else ()
    for text in ranges:
        levels.parse(text, figure.model.level + 1)
    if args.sources:
        if data.is_uri(args.sources[0]):
            raise FigureError(f"--sources={args.sources[0]}: name files.")
        sources = figure.from_files(args.sources, None)
        return figure.picture(mix.mix(figure.model, sources, figure.images(), ranges))
    half = figure.args.count or COUNTS["mix"]
    figure.count = 2 * half
    images = figure.images()
    if len(images) < 2:
        raise FigureError("mix: it takes two images at least.")
    return figure.picture(mix.mix(figure.model, images[1::2], images[::2], ranges))


def draw_traverse(figure: Figure) -> bytes:
    args, model = figure.args, figure.model
    ranges = args.levels or "all"
    levels.parse(ranges, model.level + 1)
    found = directions.read(args.directions, model.config.latent_size, model.fingerprint)
    chosen = found[:4]
    if args.names:
        chosen = directions.choose(found, args.names.split(","), args.directions)
    images = figure.images()
    if not args.moving:
        return figure.picture(
            traverse.traverse(model, images, chosen, args.steps, args.strength, ranges)
        )
    if len(chosen) > 1 and not args.names:
        chosen = chosen[:1]
    frames = [
        frame
        for each in chosen
        for frame in traverse.animation(model, images, each, args.steps, args.strength, ranges)
    ]
    return figure.frames(frames)


def draw_training(figure: Figure) -> bytes:
    source = figure.source()
    source = source.held_out or source
    numbers = checkpoint_numbers(figure.run_dir)
    if len(numbers) > MOST_ROWS and not figure.args.moving:  # the first and the last among them
        places = np.linspace(0, len(numbers) - 1, MOST_ROWS).round().astype(int)
        numbers = [numbers[i] for i in places]
    if len(numbers) == 1:
        print(
            "figures: the run has one checkpoint; --keep_checkpoints=N of alae_tf.train keeps "
            "more on the way.",
            file=sys.stderr,
        )

    def models() -> Iterator[Autoencoder]:
        for number in tqdm(numbers, "checkpoints", leave=False, disable=len(numbers) < 3):
            yield load_model(figure.run_dir, number, figure.args.weights)

    count = min(figure.count, len(source))
    if figure.args.moving:
        return figure.frames(training.animation(models(), source, count, figure.args.seed))
    return figure.picture(training.training(models(), source, count, figure.args.seed))


def draw_nearest(figure: Figure) -> bytes:
    from alae_tf.evaluation.lpips import Lpips

    args, source, network = figure.args, figure.source(), Lpips()
    return figure.picture(
        nearest.nearest(figure.model, source, network, figure.count, args.seed, args.among, True)
    )


def draw_embedding(figure: Figure) -> bytes:
    source = figure.source()
    source = source.held_out if source.held_out is not None else source
    if source.labels is None:
        raise FigureError(
            f"{source.uri}: has no labels; embedding colours classes. A folder for each: "
            "--images='folder:DIR?labels=folders'."
        )
    count = min(figure.count, len(source))
    if count < FEWEST_POINTS:
        raise FigureError(f"--count: an embedding takes {FEWEST_POINTS} images at least.")
    places = np.linspace(0, len(source), count, endpoint=False).astype(int)
    model = figure.model
    w = np.concatenate(
        [
            model.encode(np.stack([source.fitted(int(i), model.resolution) for i in part]))
            for part in np.array_split(places, -(-count // 100))
        ]
    )
    labels = np.asarray(source.labels)[places]
    names = source.class_names or [str(i) for i in range(int(labels.max()) + 1)]
    points = embedding.embed(w, figure.args.method, figure.args.seed)
    return class_plot(points, labels, names, figure.args.format)


def draw_project(figure: Figure) -> bytes:
    from alae_tf.evaluation.lpips import Lpips
    from alae_tf.latents.projection import project

    args, images = figure.args, figure.images()
    found = project(
        figure.model,
        images,
        Lpips(),
        args.space,
        args.steps,
        args.pixels,
        args.pull,
        args.move_noise,
        progress=True,
    )
    return figure.picture(project_.project(images, found))


DRAW = {
    "reconstruct": draw_reconstruct,
    "generate": draw_generate,
    "interpolate": draw_interpolate,
    "mix": draw_mix,
    "traverse": draw_traverse,
    "training": draw_training,
    "nearest": draw_nearest,
    "embedding": draw_embedding,
    "project": draw_project,
}
