"""Finds directions in w, each of which changes one attribute of images; writes them to a file.

With labels, a direction separates two classes or follows measured values. Without labels, the
directions are principal components of w or closed-form factors of G's style layers.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from alae_tf import data as sources
from alae_tf.config import Config
from alae_tf.latents import LatentError
from alae_tf.runs.directory import (
    CHECKPOINT,
    CONFIG,
    NEWEST_OR_BEST,
    chosen_checkpoint,
    existing_run,
    images_of,
)
from alae_tf.system.arguments import SEED, Arguments, between, local, several
from alae_tf.system.environment import command, start
from alae_tf.system.errors import report
from alae_tf.system.files import check_output
from alae_tf.system.quiet import import_tensorflow

if TYPE_CHECKING:
    import numpy as np

    from alae_tf.data import Source
    from alae_tf.latents.directions import Direction
    from alae_tf.model.autoencoder import Autoencoder

UNLABELLED = ("components", "factors")
MOST_IMAGES = 10_000
SAMPLES = 10_000  # random codes, if no images are used
EXAMPLES = """\
examples:
  %(prog)s --run_dir=models/digits --labels=classes --data=mnist5k: --out=digits.json
  %(prog)s --run_dir=runs/faces --labels=faces/align.csv --out=faces.json
  %(prog)s --run_dir=runs/faces --labels=components --out=components.json
"""


@command("directions")
def main(arguments: list[str] | None = None) -> None:
    """Exit codes: 0 done, 1 failed, 2 a wrong flag or file."""
    parser = Arguments("alae_tf.directions", __doc__, epilog=EXAMPLES)
    about = "directory or URL of the run, or a shipped model's name"
    parser.flag("--run_dir", about, "DIR|URL", required=True)
    parser.flag("--out", "output file", "FILE.json", type=local, required=True)
    parser.flag(
        "--labels",
        "classes: the data's classes; folders: the subfolders of folder:DIR; attribute:NAME,…: "
        "attributes of tfds:NAME; FILE: a table of file names and columns of numbers or classes "
        "(CSV with commas, semicolons or tabs, or CelebA's list_attr_celeba.txt); components: "
        "principal components of w, no labels; factors: factors of G's style layers, no labels",
        "WHAT",
        required=True,
    )
    parser.flag("--data", "the images", "URI", absent="the run's own")
    about = "columns of the labels to use"
    parser.flag("--columns", about, "NAME,…", type=several(str), absent="all")
    about = "columns to hold constant: all other directions are made orthogonal to their directions"
    parser.flag("--given", about, "NAME,…", type=several(str))
    parser.flag("--count", "number of components or factors", "N", type=between(1, 1000), default=8)
    parser.flag("--levels", "factors: levels of the style layers", "RANGE", absent="all")
    most = f"all, at most {MOST_IMAGES:,}"
    parser.flag("--images", "number of images to use", "N", type=between(1, 10**6), absent=most)
    parser.flag("--checkpoint", CHECKPOINT, NEWEST_OR_BEST, default="newest")
    about = "seed for choosing the held-out images"
    parser.flag("--seed", about, "N", type=between(0, SEED), default=0)
    parser.switch("--overwrite", "replace an existing file")
    args = parser.parse_args(arguments)
    if not args.labels:
        parser.error("--labels=: must be classes, folders, attribute:NAME, a file, …; see --help.")
    if args.out.suffix != ".json":
        parser.error(f"--out={args.out}: must end in .json.")
    if args.labels in UNLABELLED and (args.columns or args.given):
        parser.error(f"--labels={args.labels}: cannot be used with --columns or --given.")
    if args.levels and args.labels != "factors":
        parser.error(f"--levels={args.levels}: requires --labels=factors.")
    columns, given = args.columns or [], args.given or []
    check_output("--out", args.out, args.overwrite)
    path = existing_run(args.run_dir)
    chosen_checkpoint(path, args.checkpoint)
    config = Config.load(path / CONFIG)
    uri = args.data
    if args.labels not in UNLABELLED:
        uri = uri or images_of(path, config.data, "--data")
    if uri:
        sources.check(uri)
    import_tensorflow()
    from alae_tf.latents import directions
    from alae_tf.model.autoencoder import load_model

    model = load_model(path, args.checkpoint)
    if args.labels == "factors":
        found = factors(model, args.count, args.levels or "all")
    elif not uri:
        w = model.sample_w(SAMPLES, args.seed)
        found = components(model, w, f"{SAMPLES:,} random codes", args.count)
    else:
        source = sources.open_source(uri)
        sources.check_channels(source, config.image_channels)
        count = min(args.images or MOST_IMAGES, len(source))
        if args.images and count < args.images:
            report("directions", f"--images={args.images}: used all {count:,} images.")
        places = sources.evenly(source, count)
        if args.labels == "components":
            w = encode(model, source, places)
            found = components(model, w, f"{len(w):,} images of {uri}", args.count)
        else:
            values = chosen_columns(source, args.labels, columns, given)
            values = {name: column[places] for name, column in values.items()}
            w = encode(model, source, places)  # slow, therefore last
            about = args.seed, args.labels, uri, given
            found = labelled(model, w, values, *about, required=bool(columns))
    directions.write(args.out, found)
    print(table(found))
    print(f"directions: {args.out}")


def chosen_columns(
    source: Source, labels: str, names: list[str], given: list[str]
) -> dict[str, np.ndarray]:
    """The columns of labels to use: `names`, or all, and `given`; by name, [len(source)] each.

    The name of a column of texts stands for its classes. If two classes together cover all images,
    the second is left out and reported, unless it is named itself. Raises LatentError if a column
    does not exist.
    """
    from alae_tf.latents.labels import of, sides

    columns, wanted = of(source, labels), []
    for flag, asked in (("columns", names), ("given", given)):
        for name in asked:
            classes = [each for each in columns if each.startswith(f"{name}=")]
            if name not in columns and not (classes and flag == "columns"):
                known = ", ".join(columns)
                raise LatentError(f"--{flag}={name}: no such column; the columns are {known}.")
            wanted += [name] if name in columns else classes
    wanted = dict.fromkeys(wanted if names else [*columns, *given])
    named, first, left_out = {*names, *given}, {}, set()  # first: names by `sides`
    for name in sorted(wanted, key=lambda name: name not in named):
        if (side := sides(columns[name])) is None:
            continue
        twin = first.get((-side).tobytes())
        if twin is not None and name not in named:
            why = f"it is the opposite of {twin}, whose direction serves for both"
            report("directions", f"--labels={labels}: {name}: {why}; left out.")
            left_out.add(name)
        else:
            first.setdefault(side.tobytes(), name)
    return {name: columns[name] for name in wanted if name not in left_out}


def encode(model: Autoencoder, source: Source, places: np.ndarray) -> np.ndarray:
    """w of the images at these indices, with a progress bar."""
    import numpy as np
    from tqdm import tqdm

    parts = np.array_split(places, -(-len(places) // 64))
    parts = tqdm(parts, "encoding", leave=False, disable=len(parts) < 5)
    return np.concatenate([model.encode(source.take(part, model.resolution)) for part in parts])


def labelled(
    model: Autoencoder,
    w: np.ndarray,
    columns: dict[str, np.ndarray],
    seed: int,
    labels: str,
    uri: str,
    given: list[str],
    required: bool,
) -> list[Direction]:
    """A direction for each column: a linear SVM for two values, least squares for more.

    Args:
        w: [N, latent], codes of the images.
        columns: labels by name, [N] each; NaN: unknown.
        seed: chooses the images held out to measure the directions.
        given: columns to whose directions all others are made orthogonal.
        required: whether a column without a direction is an error, or is reported and left out.

    Raises:
        LatentError: a required column, a given one, or all columns have no direction.
    """
    import numpy as np

    from alae_tf.latents import finding
    from alae_tf.latents.directions import Direction, orthogonal

    raw = {}
    for name, values in columns.items():
        known = np.isfinite(values)
        different = np.unique(values[known])
        try:
            if len(different) < 2:
                raise LatentError(f"all {known.sum():,} known values are equal")
            if len(different) == 2:
                positive = values[known] == different[1]
                fit = finding.from_classes(w[known], positive, seed)
                how, measure = "linear SVM", "held-out balanced accuracy"
            else:
                fit = finding.from_values(w[known], values[known], seed)
                how, measure = "least squares", "held-out correlation"
        except LatentError as error:
            message = f"--labels={labels}, {name}: {error}"
            if required or name in given:
                raise LatentError(f"{message}.") from None
            report("directions", f"{message}; left out.")
            continue
        source = f"{how} on {known.sum():,} images of {uri}, labels {labels}"
        raw[name] = fit, source, {f"{measure} of w·n": fit.measure}
    if not raw:
        raise LatentError(f"--labels={labels}: no direction can be found for any column.")
    found = []
    for name, (fit, source, measure) in raw.items():
        vector = fit.vector
        if given and name not in given:
            try:
                vector = orthogonal(vector, [raw[other][0].vector for other in given])
            except LatentError as error:
                raise LatentError(f"--given={','.join(given)}: {name}: {error}.") from None
            source += f", given {', '.join(given)}"
        span, weights = finding.span(w, vector), model.fingerprint
        found.append(
            Direction(name, vector, source, measure, span, weights, fit.normal, fit.chance)
        )
    return found


def components(model: Autoencoder, w: np.ndarray, what: str, count: int) -> list[Direction]:
    """Principal components of codes w [N, latent]."""
    from alae_tf.latents import finding

    about = f"principal components of w, {what}"
    vectors, shares = finding.principal(w, count)
    return numbered(model, "component", "share of variance", about, w, vectors, shares)


def factors(model: Autoencoder, count: int, ranges: str) -> list[Direction]:
    """Factors of G's style layers at some levels."""
    from alae_tf.latents import finding, levels

    kernels = [
        kernel.numpy()
        for level in levels.parse(ranges, model.level + 1)
        for kernel in model.config.kind.style_kernels(model.alae.G, level)
    ]
    if not kernels:
        why = f"{model.config.kind.title} has no style layers; use components."
        raise LatentError(f"--labels=factors: {why}")
    about, w = f"factorisation of G's style layers, levels {ranges}", model.sample_w(SAMPLES)
    vectors, shares = finding.factorised(kernels, count)
    return numbered(model, "factor", "share of effect", about, w, vectors, shares)


def numbered(
    model: Autoencoder,
    name: str,
    measure: str,
    about: str,
    w: np.ndarray,
    vectors: np.ndarray,
    shares: np.ndarray,
) -> list[Direction]:
    """Directions [N, latent] named by number, with their shares [N]."""
    from alae_tf.latents.directions import Direction
    from alae_tf.latents.finding import span

    found = []
    for i, (vector, share) in enumerate(zip(vectors, shares, strict=True), start=1):
        measured, of_w = {measure: float(share)}, span(w, vector)
        found.append(Direction(f"{name} {i}", vector, about, measured, of_w, model.fingerprint))
    return found


def table(directions: list[Direction]) -> str:
    """A line of text for each direction."""
    width = max(len(each.name) for each in directions)
    lines = []
    for each in directions:
        measures = ", ".join(f"{name} {value:.3f}" for name, value in each.measure.items())
        if each.is_chance:
            measures += f", no better than chance ({each.chance:.3f})"
        low, high = each.span or (0.0, 0.0)
        lines.append(f"{each.name:{width}}  {measures}  w·v from {low:.2f} to {high:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(start(main))
