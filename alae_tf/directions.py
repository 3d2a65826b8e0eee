"""Finds directions in w along which one thing changes, and keeps them in a file.

With labels (a plane between classes, a gradient of measured values), or without: principal
components of w, or the closed-form factorisation of G's style layers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from alae_tf import data
from alae_tf.config import Config
from alae_tf.latents import LatentError
from alae_tf.runs.directory import CONFIG, checkpoint_numbers, existing_run, images_of
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, program
from alae_tf.system.files import check_output
from alae_tf.system.quiet import import_tensorflow

if TYPE_CHECKING:
    import numpy as np

    from alae_tf.data import Source
    from alae_tf.latents.directions import Direction
    from alae_tf.model.autoencoder import Autoencoder

UNLABELLED = ("components", "factors")
MOST_IMAGES = 10_000
SAMPLES = 10_000  # random codes, where there are no images


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=program("alae_tf.directions"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  %(prog)s --run_dir=models/digits --labels=classes --data=mnist5k: --out=digits.json\n"
        "  %(prog)s --run_dir=runs/faces --labels=faces/align.csv --out=faces.json\n"
        "  %(prog)s --run_dir=runs/faces --labels=components --out=components.json",
    )
    add = parser.add_argument
    add("--run_dir", required=True, help="the run, or a shipped model as models/digits")
    add("--out", required=True, type=Path, metavar="FILE.json", help="the directions")
    add(
        "--labels",
        required=True,
        metavar="WHAT",
        help="classes: of the data; folders: a class each, for folder:DIR; attribute:NAME,… of "
        "tfds:NAME; a table (CSV with commas, semicolons or tabs, or CelebA's "
        "list_attr_celeba.txt): file name, then columns of numbers or classes; components: "
        "principal ones of w; factors: of G's style layers",
    )
    add("--data", metavar="URI", help="the images; default: the run's own")
    add("--columns", metavar="NAME,…", help="of the labels. Default: all")
    add(
        "--given",
        metavar="NAME,…",
        help="columns that are to stay as they are: the directions found are made orthogonal to "
        "theirs",
    )
    add("--count", type=int, default=8, help="of components or factors. Default: %(default)s")
    add("--levels", metavar="RANGE", help="factors: of the styles at these levels. Default: all")
    add(
        "--images",
        type=int,
        metavar="N",
        help=f"of the data. Default: all, {MOST_IMAGES:,} at most",
    )
    add("--checkpoint", type=int, metavar="N", help="at N images seen. Default: the newest")
    add("--seed", type=int, default=0, help="of the images held out. Default: 0")
    add("--overwrite", action="store_true", help="replace a file that is there")
    args = parser.parse_args(arguments)
    if not args.labels:
        parser.error("--labels: say classes, folders, attribute:NAME, a CSV file, or nothing.")
    if args.out.suffix != ".json":
        parser.error(f"--out={args.out}: must end in .json.")
    if not 1 <= args.count <= 1000:
        parser.error(f"--count={args.count}: must be 1 to 1000.")
    if args.images is not None and not 1 <= args.images <= 10**6:
        parser.error(f"--images={args.images}: must be 1 to 1,000,000.")
    if not 0 <= args.seed < 2**31:
        parser.error(f"--seed={args.seed}: must be 0 to {2**31 - 1}.")
    if args.labels in UNLABELLED and (args.columns or args.given):
        parser.error(f"--labels={args.labels}: has no --columns and no --given.")
    if args.levels and args.labels != "factors":
        parser.error(f"--levels={args.levels}: goes with --labels=factors.")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed on the way, 2 a wrong flag or file."""
    args = parse(arguments)
    return guarded("directions", lambda: work(args))


class DirectionsFailed(LatentError):
    """The work failed on the way."""

    exit_code = 1


def work(args: argparse.Namespace) -> None:
    """Checks, finds, writes and tells."""
    check_output("--out", args.out, args.overwrite)
    run_dir = existing_run(args.run_dir)
    if not checkpoint_numbers(run_dir):
        raise LatentError(f"--run_dir={args.run_dir}: it has no checkpoint yet; train it first.")
    config = Config.load(run_dir / CONFIG)
    uri = args.data or images_of(run_dir, config.data)
    if args.labels not in UNLABELLED or args.data:
        data.check(uri)
    import_tensorflow()
    from alae_tf.latents import directions
    from alae_tf.model.autoencoder import load_model

    model = load_model(run_dir, args.checkpoint)
    if args.labels == "factors":
        found = factors(model, args.count, args.levels or "all")
    elif args.labels == "components" and not args.data:
        w = model.sample_w(SAMPLES, args.seed)
        found = components(model, w, f"{SAMPLES:,} random codes", args.count)
    else:
        source = data.open_source(uri)
        data.check_channels(source, config.image_channels)
        places = choose(source, args.images)
        columns = None
        if args.labels != "components":
            columns = chosen_columns(args, source)
        w = encode(model, source, places)
        if columns is None:
            found = components(model, w, f"{len(w):,} images of {uri}", args.count)
        else:
            found = labelled(args, model, w, {k: v[places] for k, v in columns.items()}, uri)
    try:
        directions.write(args.out, found)
    except OSError as error:
        raise DirectionsFailed(f"--out={args.out}: {error.strerror}.") from None
    print(table(found))
    print(f"directions: {args.out}")


def choose(source: Source, asked: int | None) -> np.ndarray:
    """Places of the images to look at, evenly spread; says if there are fewer than asked for."""
    count = min(asked or MOST_IMAGES, len(source))
    if asked and count < asked:
        print(f"directions: --images={asked}: used all {count:,}.", file=sys.stderr)
    return data.evenly(source, count)


def chosen_columns(args: argparse.Namespace, source: Source) -> dict[str, np.ndarray]:
    """The columns of labels that are to be used, those of --given among them.

    Raises:
        LatentError: there is no such column; lists them.
    """
    from alae_tf.latents import labels

    columns = labels.of(source, args.labels)
    given = args.given.split(",") if args.given else []
    names = args.columns.split(",") if args.columns else list(columns)
    for name in [*names, *given]:
        if name not in columns:
            flag = "columns" if name in names else "given"
            raise LatentError(f"--{flag}={name}: no such labels; there are {', '.join(columns)}.")
    return {name: columns[name] for name in dict.fromkeys([*names, *given])}


def encode(model: Autoencoder, source: Source, places: np.ndarray) -> np.ndarray:
    """w of the images at these places, with a bar."""
    import numpy as np
    from tqdm import tqdm

    parts = np.array_split(places, -(-len(places) // 64))
    images = (
        np.stack([source.fitted(int(i), model.resolution) for i in part])
        for part in tqdm(parts, "encoding", leave=False, disable=len(parts) < 5)
    )
    return np.concatenate([model.encode(each) for each in images])


def labelled(
    args: argparse.Namespace,
    model: Autoencoder,
    w: np.ndarray,
    columns: dict[str, np.ndarray],
    uri: str,
) -> list[Direction]:
    """A direction for each column: of two values a plane between classes, of more a gradient.
    Columns that no direction can be found for are left out, unless --columns or --given names them.
    """
    import numpy as np

    from alae_tf.latents import finding
    from alae_tf.latents.directions import Direction, orthogonal

    given = args.given.split(",") if args.given else []
    raw: dict[str, Direction] = {}
    for name, values in columns.items():
        known = np.isfinite(values)
        different = np.unique(values[known])
        try:
            if len(different) < 2:
                raise LatentError(f"all {known.sum():,} known values are alike; it takes two")
            if len(different) == 2:
                positive = values[known] == different[1]
                vector, score = finding.from_classes(w[known], positive, args.seed)
                how, measure = "linear SVM", "held-out balanced accuracy"
            else:
                vector, score = finding.from_values(w[known], values[known], args.seed)
                how, measure = "least squares", "held-out correlation"
        except LatentError as error:
            message = f"--labels={args.labels}, {name}: {error}"
            if args.columns or name in given:
                raise LatentError(f"{message}.") from None
            print(f"directions: {message}; left out.", file=sys.stderr)
            continue
        source = f"{how} on {known.sum():,} images of {uri}, labels {args.labels}"
        raw[name] = Direction(name, vector, source, {measure: score})
    if not raw:
        raise LatentError(
            f"--labels={args.labels}: no direction can be found for any of its columns."
        )
    found = []
    for name, each in raw.items():
        others = [] if name in given else [raw[other].vector for other in given]
        vector, source, measure = each.vector, each.source, each.measure
        if others:
            try:
                vector = orthogonal(vector, others)
            except LatentError as error:
                raise LatentError(f"--given={args.given}: {name}: {error}.") from None
            source += f", given {', '.join(given)}"
            measure = {f"{what}, before that": value for what, value in measure.items()}
        span = finding.span(w, vector)
        found.append(Direction(name, vector, source, measure, span, model.fingerprint))
    return found


def components(model: Autoencoder, w: np.ndarray, what: str, count: int) -> list[Direction]:
    """Principal components of codes."""
    from alae_tf.latents import finding

    vectors, shares = finding.principal(w, count)
    about = f"principal components of w, {what}"
    return numbered(model, "component", vectors, w, about, "share of variance", shares)


def factors(model: Autoencoder, count: int, ranges: str) -> list[Direction]:
    """Directions of G's style layers, at some levels."""
    from alae_tf.latents import finding, levels

    kernels = [
        kernel.numpy()
        for level in levels.parse(ranges, model.level + 1)
        for kernel in model.config.kind.style_kernels(model.alae.G, level)
    ]
    if not kernels:
        raise LatentError(
            f"--labels=factors: {model.config.kind.title} has no style layers; try components."
        )
    vectors, shares = finding.factorised(kernels, count)
    w, about = model.sample_w(SAMPLES), f"factorisation of G's style layers, levels {ranges}"
    return numbered(model, "factor", vectors, w, about, "share of effect", shares)


def numbered(
    model: Autoencoder,
    name: str,
    vectors: np.ndarray,
    w: np.ndarray,
    about: str,
    measure: str,
    values: np.ndarray,
) -> list[Direction]:
    """Directions without labels, by number."""
    from alae_tf.latents.directions import Direction
    from alae_tf.latents.finding import span

    return [
        Direction(
            f"{name} {i + 1}", vector, about, {measure: float(value)}, span(w, vector),
            model.fingerprint,
        )
        for i, (vector, value) in enumerate(zip(vectors, values, strict=True))
    ]  # fmt: skip


def table(directions: list[Direction]) -> str:
    """What was found, for people."""
    width = max(len(each.name) for each in directions)
    lines = []
    for each in directions:
        measures = ", ".join(f"{name} {value:.3f}" for name, value in each.measure.items())
        low, high = each.span or (0.0, 0.0)
        lines.append(f"{each.name:{width}}  {measures}  w·v from {low:.2f} to {high:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(start(main))
