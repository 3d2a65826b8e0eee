"""The same images at each checkpoint of a run."""

import numpy as np
from tqdm import tqdm

from alae_tf.data import evenly
from alae_tf.figures.kind import SET, Drawing, Figure, Kind
from alae_tf.images import canvas
from alae_tf.runs.directory import checkpoint_numbers, existing_run
from alae_tf.system.errors import report

MOST_ROWS = 10  # checkpoints in a picture


def draw(figure: Figure) -> Drawing:
    """A row of reconstructions and a row of generated images for each checkpoint, oldest first,
    with a row of originals for each resolution; or a frame for each checkpoint."""
    source = figure.held_out()
    places = evenly(source, min(figure.count, len(source)))
    numbers = checkpoint_numbers(existing_run(figure.run_dir))
    if len(numbers) > MOST_ROWS and not figure.moving:  # including the first and the last
        chosen = np.linspace(0, len(numbers) - 1, MOST_ROWS).round().astype(int)
        numbers = [numbers[i] for i in chosen]
    if len(numbers) == 1:
        report("figures", "the run has one checkpoint; --keep_checkpoints=N of alae train keeps N.")
    seen, stages = [], []
    for number in tqdm(numbers, "checkpoints", leave=False, disable=len(numbers) < 3):
        model = figure.model_at(number)
        real = source.take(places, model.resolution)
        new = model.generate(len(real), figure.seed)
        seen.append(f"{model.images_seen:,} images")
        stages.append((real, model.reconstruct(real), new))
    side = max(real.shape[1] for real, _, _ in stages)
    if figure.moving:
        return animation(seen, stages, side)
    rows, labels, last = [], [], 0
    for text, (real, again, new) in zip(seen, stages, strict=True):
        if real.shape[1] > last:
            last = real.shape[1]
            rows.append(enlarge(real, side))
            labels.append(f"x at {last} px")
        rows += [enlarge(again, side), enlarge(new, side)]
        labels += [text, "generated"]
    return canvas.table(rows, labels)


def animation(seen: list[str], stages: list[tuple[np.ndarray, ...]], side: int) -> list[np.ndarray]:
    """A frame for each stage: originals, reconstructions, generated images."""
    longest, frames = max(map(len, seen)), []
    for text, rows in zip(seen, stages, strict=True):
        text = text.rjust(longest, "\u2007")  # as wide as a digit
        cells = [enlarge(row, side) for row in rows]
        frames.append(canvas.table(cells, [text, "G(E(x))", "generated"]))
    widest = max(frame.shape[1] for frame in frames)
    return [
        np.pad(frame, [(0, 0), (widest - frame.shape[1], 0), (0, 0)], constant_values=canvas.WHITE)
        for frame in frames
    ]


def enlarge(images: np.ndarray, side: int) -> list[np.ndarray]:
    """Images [N, H, W, C] → N images [side, side, C], by repeating pixels."""
    factor = side // images.shape[1]
    return list(images.repeat(factor, axis=1).repeat(factor, axis=2))


KIND = Kind(
    "the same images at each checkpoint of a run; .gif and .webp files are animated",
    draw,
    count=8,
    images=SET,
    seconds=0.4,
    one_checkpoint=False,
)
