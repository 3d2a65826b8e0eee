"""Pictures of a run: one command, a kind each.

python -m alae_tf.figures reconstruct --run_dir=runs/mine --out=pairs.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from alae_tf import data
from alae_tf.environment import start
from alae_tf.errors import CheckpointError, guarded, program
from alae_tf.figures import COUNTS, METHODS, FigureError
from alae_tf.files import check_output, write_atomic
from alae_tf.images import canvas
from alae_tf.images.alignment import CROPS
from alae_tf.images.faces import model_folder
from alae_tf.quiet import import_tensorflow
from alae_tf.runs.directory import checkpoint_numbers, existing_run

KINDS = {
    "reconstruct": "images over their reconstructions; --mosaic: in several sizes",
    "generate": "new images; a row for each of several --psi",
    "interpolate": "paths between images, or between random codes; .gif and .webp move",
    "mix": "style mixing: --sources across, --images down, coarse, middle and fine rows",
    "traverse": "images moved along directions of alae_tf.directions; .gif and .webp move",
    "training": "the same images over the run's checkpoints; .gif and .webp move",
    "nearest": "generated images beside the nearest training images, by LPIPS features",
    "embedding": "w of labelled images in two dimensions, coloured by class",
    "project": "reconstructions before and after descent on LPIPS and pixels, and its curve",
}
FROM_FILES = ("reconstruct", "interpolate", "mix", "traverse", "project")
MOVING = ("interpolate", "traverse", "training")
MOST = 10_000


class Door(NamedTuple):
    """A kind of figure as a command of its own, with defaults.

    Attributes:
        module: the command's, as "alae_tf.generate".
        kind: of the figure.
        run_dir, out: without which the command goes.
        about: what --help says of it.
        align: the crop of photos that the model of run_dir takes; None: it takes no files.
    """

    module: str
    kind: str
    run_dir: str
    out: str
    about: str
    align: str | None = None


def parse(arguments: list[str] | None = None, door: Door | None = None) -> argparse.Namespace:
    """The command line: KIND and flags, or a door's flags alone."""
    if door is not None:
        arguments = [door.kind, *(sys.argv[1:] if arguments is None else arguments)]
    parser = argparse.ArgumentParser(
        prog=program("alae_tf.figures"),
        description="Pictures of a run: one command, a kind each.",
        epilog="%(prog)s KIND --help tells the flags of a kind.",
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND", title="kinds")
    for kind, about in KINDS.items():
        own = door if door is not None and door.kind == kind else None
        command = kinds.add_parser(
            kind,
            help=about,
            description=own.about if own else about.capitalize() + ".",
            prog=program(own.module) if own else None,
        )
        add_common(command, kind, own)
        if own and own.align:
            command.add_argument("files", nargs="*", help="photos and folders, as --images")
        add = command.add_argument
        if kind == "reconstruct":
            add("--mosaic", action="store_true", help="one large, four half, sixteen quarter size")
        if kind in ("generate", "interpolate"):
            add("--psi", metavar="X,…", help="truncation; 1: none. Default: the run's")
        if kind == "generate":
            add("--noise", choices=("const", "random", "none"), default="const", help="of G")
        if kind == "interpolate":
            add("--random", action="store_true", help="between random codes, not images")
            add("--space", choices=("w", "z"), default="w", help="of random codes: lines or arcs")
        if kind in ("interpolate", "traverse"):
            add(
                "--steps", type=int, metavar="N", help="images of each path. Default: 7; moving: 24"
            )
        if kind == "mix":
            add("--sources", nargs="+", metavar="FILE|URI", help="default: the images after those")
        if kind in ("mix", "traverse"):
            several = ",…" if kind == "mix" else ""
            add("--levels", metavar=f"RANGE{several}", help="coarse, middle, fine, all, 2 or 2-4")
        if kind == "traverse":
            add("--directions", required=True, type=Path, metavar="FILE", help=".json or .npy")
            add("--names", metavar="NAME,…", help="which of them. Default: the first four")
            add("--strength", type=float, default=1.0, help="1: over the span of the data")
        if kind == "embedding":
            add("--method", choices=METHODS, default="tsne", help="default: %(default)s")
        if kind == "nearest":
            add("--among", type=int, default=0, metavar="N", help="training images looked at")
        if kind == "project":
            add("--space", choices=("styles", "w"), default="styles", help="default: %(default)s")
            add("--steps", type=int, default=150, help="iterations. Default: %(default)s")
            add("--pixels", type=float, default=1.0, help="weight of the squared error")
            add("--pull", type=float, default=0.02, help="weight of the way from E(x)")
            add("--move_noise", action="store_true", help="the noise maps move too")
    args = parser.parse_args(arguments)
    if getattr(args, "files", None):
        args.images = [*(args.images or []), *args.files]
    if door is not None and door.align and of_door(args, door):
        args.align = door.align
    check(args, parser)
    return args


def of_door(args: argparse.Namespace, door: Door) -> bool:
    """Whether files, not told how they are aligned, go through the door's own model."""
    if args.align or not args.images or data.is_uri(args.images[0]):
        return False
    try:
        return existing_run(args.run_dir) == existing_run(door.run_dir)
    except CheckpointError:
        return False  # which is told later


def add_common(command: argparse.ArgumentParser, kind: str, door: Door | None) -> None:
    """The flags that every kind has."""
    add = command.add_argument
    told = ". Default: %(default)s" if door else ""
    add(
        "--run_dir",
        required=not door,
        default=door and door.run_dir,
        help=f"the run, or a shipped model as models/digits{told}",
    )
    add(
        "--out",
        required=not door,
        default=door and Path(door.out),
        type=Path,
        metavar="FILE",
        help=f"the picture{told}",
    )
    add("--format", choices=canvas.FORMATS, help="default: as the name of --out ends")
    add("--overwrite", action="store_true", help="replace a file that is there")
    if kind in FROM_FILES:
        add(
            "--images",
            nargs="+",
            metavar="FILE|URI",
            help="image files, folders, or one URI as of --data. Default: the run's, held out",
        )
        add(
            "--align",
            choices=sorted(CROPS),
            help="--images are photos: take the largest face of each, cut out so. "
            "models/faces64: lfw",
        )
    elif kind != "generate":
        add("--images", nargs=1, metavar="URI", help="as of --data. Default: the run's")
    default = COUNTS[kind]
    add(
        "--count",
        type=int,
        metavar="N",
        help=f"images. Default: {default}, or the files given, 48 at most",
    )
    add("--seed", type=int, default=0, help="of what is random. Default: 0")
    if kind != "training":
        add("--checkpoint", type=int, metavar="N", help="at N images seen. Default: the newest")
    add("--weights", choices=("ema", "raw"), default="ema", help="default: %(default)s")


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """What can be told at once; sets the defaults that depend on other flags."""
    ending = args.out.suffix[1:].lower()
    args.format = args.format or ending
    if args.format not in canvas.FORMATS:
        parser.error(f"--out={args.out}: must end in .{', .'.join(canvas.FORMATS)}.")
    if ending in canvas.FORMATS and ending != args.format:
        parser.error(f"--format={args.format}: --out={args.out} names another format.")
    args.moving = args.format in canvas.ANIMATED and args.kind in MOVING
    kinds = ("png", "pdf") if args.kind == "embedding" else canvas.FORMATS
    if args.format not in kinds:
        parser.error(f"--format={args.format}: {args.kind} is written as {' or '.join(kinds)}.")
    if args.count is not None and not 1 <= args.count <= MOST:
        parser.error(f"--count={args.count}: must be 1 to {MOST:,}.")
    if not 0 <= args.seed < 2**31:
        parser.error(f"--seed={args.seed}: must be 0 to {2**31 - 1}.")
    for name in ("psi", "levels", "names"):
        if getattr(args, name, None) is not None and not getattr(args, name).strip(","):
            parser.error(f"--{name}={getattr(args, name)}: is empty.")
    for name in ("pixels", "pull"):
        if name in args and not 0 <= getattr(args, name) <= 1e6:
            parser.error(f"--{name}={getattr(args, name)}: must be 0 to 1,000,000.")
    if "psi" in args:
        args.psi = [number(parser, "--psi", text) for text in (args.psi or "").split(",") if text]
        if args.kind != "generate" and len(args.psi) > 1:
            parser.error(f"--psi={','.join(map(str, args.psi))}: {args.kind} takes one.")
    if "steps" in args:
        if args.steps is None:
            args.steps = 24 if args.moving else 7
        least, most = (1, 100_000) if args.kind == "project" else (2, 1000)
        if not least <= args.steps <= most:
            parser.error(f"--steps={args.steps}: must be {least} to {most:,}.")
    if getattr(args, "among", 0) < 0:
        parser.error(f"--among={args.among}: must be 1 or more, or 0 for 50,000.")
    if "strength" in args and not 0 < abs(args.strength) <= 100:
        parser.error(f"--strength={args.strength}: must be a number as 1.5.")
    if getattr(args, "random", False) and args.images:
        parser.error("--random: goes between random codes; leave --images out.")
    if args.kind == "interpolate" and args.psi and not args.random:
        parser.error("--psi: is of random codes; give --random.")
    align = getattr(args, "align", None)
    if align and (not args.images or data.is_uri(args.images[0])):
        parser.error(f"--align={align}: goes with --images=FILE….")


def number(parser: argparse.ArgumentParser, flag: str, text: str) -> float:
    """A psi."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -100 <= value <= 100:
        parser.error(f"{flag}={text}: must be a number of -100 to 100, as 0.7.")
    return value


def main(arguments: list[str] | None = None, door: Door | None = None) -> int:
    """Exit codes: 0 done, 1 failed on the way, 2 a wrong flag or file."""
    args = parse(arguments, door)
    return guarded(door.kind if door else "figures", lambda: work(args))


def work(args: argparse.Namespace) -> None:
    """Checks, draws and writes."""
    check_output("--out", args.out, args.overwrite)
    if getattr(args, "align", None):
        model_folder()  # installed?
    run_dir = existing_run(args.run_dir)
    numbers = checkpoint_numbers(run_dir)
    if not numbers:
        raise FigureError(f"--run_dir={args.run_dir}: it has no checkpoint yet; train it first.")
    import_tensorflow()
    from alae_tf.figures.drawing import draw

    contents = draw(args, run_dir)
    try:
        write_atomic(args.out, contents)
    except OSError as error:
        raise FigureFailed(f"--out={args.out}: {error.strerror}.") from None
    print(f"figures: {args.out}")


class FigureFailed(FigureError):
    """The work failed on the way."""

    exit_code = 1


if __name__ == "__main__":
    sys.exit(start(main))
