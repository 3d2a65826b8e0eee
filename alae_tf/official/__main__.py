"""The authors' weights and numbers ↔ ours.

    python -m alae_tf.official import model.pth --run_dir=runs/faces --config=configs/ffhq1024.cfg

turns a checkpoint of the authors' training into a run directory for all other commands.

    python -m alae_tf.official verify tests/goldens/style32_forward.npz

builds the model of the file's config, takes its weights by name (with --run_dir those of a run),
computes every quantity in the file and prints the largest error of each.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from alae_tf.config import ConfigError
from alae_tf.errors import guarded, printable


def run_import(args: argparse.Namespace) -> int:
    """Imports, and says what was read, what was left out and what comes next."""
    from alae_tf.official.importing import import_run

    config, read, tensors, left = import_run(args.file, args.run_dir, args.config, args.which)
    print(f"{args.file}: read {', '.join(read)}: {tensors} tensors")
    print(
        f"StyleALAE of {config.levels} levels ({config.resolution} px), {config.image_channels} "
        f"image channels, {config.start_channels} to {config.max_channels} channels, w of "
        f"{config.latent_size}, {config.mapping_layers} layers in F"
    )
    # The file's own words, which may be anything.
    print(printable(f"left out: {', '.join(left) or 'nothing'}").replace("\n", "\\n"))
    if not args.config:
        print("All other settings are defaults; --config names a flagfile with those to train by.")
    print(
        f"{args.run_dir} is a run at its top level. In Python, alae_tf.load_model has it; next:\n"
        f"  python -m alae_tf.train --flagfile={shlex.quote(args.run_dir)}/config.cfg "
        f"--run_dir={shlex.quote(args.run_dir)} --data=folder:PHOTOS\n"
        f"  python -m export --run_dir={shlex.quote(args.run_dir)} --out=exported "
        "--representative_data=folder:PHOTOS"
    )
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Prints the table; 1 if an error is beyond the tolerance, else 0."""
    from alae_tf.official.goldens import verify

    if not 0 <= args.tolerance < float("inf"):
        raise ConfigError(f"--tolerance={args.tolerance}: must be 0 or more.")
    worst, worst_name, failed = -1.0, "", 0
    print(f"{'relative error':>15}  quantity")
    for name, error in verify(args.file, args.run_dir):
        beyond = not error <= args.tolerance  # also catches NaN
        failed += beyond
        print(f"{error:15.2e}  {name}{'  <-- beyond the tolerance' if beyond else ''}")
        if not error <= worst:
            worst, worst_name = error, name
    verdict = f"{failed} beyond" if failed else "all within"
    print(f"{args.file}: {verdict} {args.tolerance:g}; largest {worst:.2e} ({worst_name})")
    return 1 if failed else 0


def weights_word(text: str) -> str:
    """What --which says; "slow", the first version's word, is refused with today's."""
    if text == "slow":
        raise argparse.ArgumentTypeError("slow is called ema now")
    return text


def parser() -> argparse.ArgumentParser:
    """The flags of both commands."""
    parser = argparse.ArgumentParser(prog="python -m alae_tf.official", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("import", help="make a run directory of the authors' checkpoint")
    command.add_argument("file", help="a .pth file of the authors' training")
    command.add_argument("--run_dir", required=True, help="new directory for the run")
    command.add_argument(
        "--config",
        help="flagfile of the run, as configs/ffhq1024.cfg; default: sizes as the tensors have "
        "them, all else as `python -m alae_tf.train --help` says",
    )
    command.add_argument(
        "--which",
        type=weights_word,
        choices=("ema", "raw"),
        default="ema",
        help="ema: the EMA weights, which are the better ones (default); raw: the others",
    )
    command.set_defaults(run=run_import)
    command = commands.add_parser("verify", help="compare with numbers of the authors' model")
    command.add_argument("file", help="an .npz of weights, inputs and outputs")
    command.add_argument("--run_dir", help="take the weights from this run")
    command.add_argument("--tolerance", type=float, default=1e-4, help="default: 1e-4")
    command.set_defaults(run=run_verify)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 1 failed, 2 a wrong file or flag."""
    args = parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def work() -> int:
        try:
            return args.run(args)
        except OSError as error:
            print(
                f"official: --run_dir={args.run_dir}: {error.strerror or error}.", file=sys.stderr
            )
            return 1

    return guarded("official", work)


if __name__ == "__main__":
    sys.exit(main())
