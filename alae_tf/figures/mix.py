"""Style mixing, the paper's Fig. 9."""

import numpy as np

from alae_tf import data
from alae_tf.figures.kind import Figure, FigureError, Kind, names
from alae_tf.images import canvas
from alae_tf.latents import levels as levels_
from alae_tf.latents.codes import mix


def check(figure: Figure, sources: list[str] | None, levels: list[str] | None) -> None:
    """Raises FigureError if --sources names a data set."""
    if sources and data.is_uri(sources[0]):
        raise FigureError(f"--sources={sources[0]}: must name image files or folders.")


def draw(figure: Figure, sources: list[str] | None, levels: list[str] | None) -> np.ndarray:
    """Sources across, destinations down, a block of rows for each range of levels.

    At these levels the destination takes the source's styles. Each image is shown as G(E(x)).
    """
    model = figure.model
    if model.config.styles == 1:
        raise FigureError("--run_dir: mix needs a StyleALAE; an MLP-ALAE has only one style.")
    reached = model.level + 1
    levels = levels or list(levels_.named(reached)) or ["all"]
    rows = [levels_.rows(levels_.parse(text, reached)) for text in levels]
    if sources:
        across, down = figure.from_files(sources), figure.images()
    else:
        images = figure.images(2 * figure.count)
        across, down = images[1::2], images[::2]
    if not len(across):
        raise FigureError("--images: mix needs at least two images.")
    source, destination = (model.encode(images, layers=True) for images in (across, down))
    cells, labels = [[None, *model.decode(source)]], [""]
    for text, part in zip(levels, rows, strict=True):
        for i, image in enumerate(model.decode(destination)):
            codes = mix(destination[i : i + 1], source, part)
            cells.append([image, *model.decode(codes)])
            labels.append(text if i == 0 else "")
    return canvas.table(cells, labels, ["", *["source"] * len(source)])


KIND = Kind(
    "style mixing: sources across, --images down, mixed at coarse, middle and fine levels",
    draw,
    count=5,
    check=check,
    flags={
        "sources": {
            "nargs": "+",
            "metavar": "FILE",
            "help": "image files and folders whose styles are mixed into --images. Default: every "
            "second image of --images",
        },
        "levels": names(
            "RANGE,…",
            "coarse,middle,fine",
            "levels that take the source's styles, a block of rows for each range: coarse, middle, "
            "fine, all, or numbers from 0 (4 px), such as 2 or 2-4",
        ),
    },
)
