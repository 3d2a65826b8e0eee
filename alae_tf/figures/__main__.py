"""Pictures of a run: `alae figures KIND`, and the commands `alae reconstruct` and `alae generate`.

python -m alae_tf.figures reconstruct --run_dir=runs/mine --out=pairs.png
"""

import argparse
import functools
import re
import sys
from pathlib import Path
from typing import Any

from alae_tf.figures import KINDS, Figure, FigureError, Kind
from alae_tf.figures.kind import FILES, MOST_FILES, choice, number, switch
from alae_tf.images import canvas
from alae_tf.images.alignment import CROPS
from alae_tf.images.faces import model_folder
from alae_tf.runs.directory import CHECKPOINT, NEWEST_OR_BEST, chosen_checkpoint, existing_run
from alae_tf.system.arguments import local
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, program
from alae_tf.system.files import check_output, write_atomic
from alae_tf.system.quiet import import_tensorflow

SHIPPED, CROP = "faces64", "lfw"  # a shipped model of faces, and the crop of its training images


def main(arguments: list[str] | None = None) -> int:
    """`alae figures KIND`. Exit codes: 0 done, 1 writing failed, 2 a wrong flag or file."""

    parser = argparse.ArgumentParser(
        prog=program("alae_tf.figures"),
        description="Draws a picture of a run.",
        epilog="%(prog)s KIND --help lists the flags of a kind.",
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND", title="kinds")
    for name, kind in KINDS.items():
        about = f"Draws {kind.about}."
        add_flags(kinds.add_parser(name, help=kind.about, description=about), kind)
    given = vars(parser.parse_args(arguments))
    return guarded("figures", lambda: run(KINDS[given.pop("kind")], **given))


def shipped(name: str, out: str, arguments: list[str] | None = None) -> int:
    """A kind as its own command, which needs no flags; `out` is its default of --out."""

    kind = KINDS[name]
    parser = argparse.ArgumentParser(
        prog=program(f"alae_tf {name}"),
        description=f"Draws {kind.about}. The model is {SHIPPED}, a shipped model of faces, "
        "unless --run_dir names another model.",
    )
    if kind.images == FILES:
        about = "photos and folders, added to --images"
        crop = f"For {SHIPPED} the largest face of each is cropped (--align={CROP})"
        parser.add_argument("files", nargs="*", help=f"{about}. {crop}")
    add_flags(parser, kind, out)
    given = vars(parser.parse_args(arguments))
    if kind.images == FILES:
        given["named"] = [*given["named"], *given.pop("files")]
    return guarded(name, lambda: run(kind, crop=CROP, **given))


reconstruct = functools.partial(shipped, "reconstruct", "reconstructed.png")
generate = functools.partial(shipped, "generate", "generated.png")


def add_flags(parser: argparse.ArgumentParser, kind: Kind, out: str | None = None) -> None:
    """Adds the flags common to all kinds, and the kind's own. Without `out`, the default of --out,
    --out and --run_dir are required."""
    add, default = parser.add_argument, ". Default: %(default)s" if out else ". Required"
    about = f"run directory or its URL, or the name of a shipped model such as digits{default}"
    add("--run_dir", required=not out, default=out and SHIPPED, metavar="DIR|URL", help=about)
    about = f"file to write; its extension sets the format: {', '.join(kind.formats)}{default}"
    add("--out", required=not out, default=out, type=local, metavar="FILE", help=about)
    add("--overwrite", **switch("replace FILE if it exists"))
    of_files = kind.images == FILES
    if kind.images:
        form = {"nargs": "+" if of_files else 1, "metavar": "FILE|URI" if of_files else "URI"}
        about = "image files, folders, or " * of_files + "one data set, named as for --data of "
        about += f"alae train. Default: {'held-out images of ' * of_files}the run's own data"
        add("--images", dest="named", default=[], help=about, **form)
    if of_files:
        about = "crop the largest face of each image file, as the model's training images were "
        about += f"cropped ({SHIPPED}: {CROP}). Default: take the middle square of each file"
        add("--align", choices=sorted(CROPS), help=about)
    default = f"{kind.count}" + f"; with image files, all of them up to {MOST_FILES}" * of_files
    add("--count", dest="asked", **number((1, 10_000), default, "number of images"))
    about = "seed of all random numbers; change it for another picture"
    add("--seed", **number((0, 2**31 - 1), 0, about))
    if kind.one_checkpoint:
        about = f"{CHECKPOINT}. Default: %(default)s"
        add("--checkpoint", default="newest", metavar=NEWEST_OR_BEST, help=about)
    about = "ema: moving average of the weights, for better images; raw: as the last step left them"
    add("--weights", **choice(("ema", "raw"), about))
    for name, options in kind.flags.items():
        add(f"--{name}", **options)


def run(
    kind: Kind, out: Path, overwrite: bool = False, crop: str | None = None, **given: Any
) -> None:
    """Draws a figure and writes it to a file; raises AlaeError if a flag does not fit.

    Args:
        crop: crop of faces in image files for the model SHIPPED, unless `align` is given.
        given: the kind's own flags and the other arguments of `Figure`.
    """
    ending = out.suffix[1:].lower()
    if ending not in kind.formats:
        raise FigureError(f"--out={out}: must end in .{', .'.join(kind.formats)}.")
    check_output("--out", out, overwrite)
    flags = {name: given.pop(name) for name in kind.flags}
    figure = Figure(kind, format=ending, **given)
    path = existing_run(figure.run_dir)
    if crop and figure.of_files and not figure.align and path.samefile(existing_run(SHIPPED)):
        figure.align = crop
    if figure.align:
        if not figure.of_files:
            raise FigureError(f"--align={figure.align}: --images must name image files.")
        model_folder()  # raises if the face detector is not installed
    if kind.check:
        kind.check(figure, **flags)
    chosen_checkpoint(path, figure.checkpoint)
    import_tensorflow()
    try:
        picture = kind.draw(figure, **flags)
    except ValueError as error:  # from the Python API, which names its arguments
        raise FigureError(re.sub(r"^levels '(.*?)'", r"--levels=\1", str(error))) from None
    if not isinstance(picture, bytes):
        frames = picture if isinstance(picture, list) else [picture]
        picture = canvas.encode(frames, figure.format, kind.seconds or 0.1)
    write_atomic(out, picture)
    print(f"figures: {out}")


if __name__ == "__main__":
    sys.exit(start(main))
