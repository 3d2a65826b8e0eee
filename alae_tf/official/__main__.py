"""The authors' weights and numbers ↔ ours.

    python -m alae_tf.official import model.pth --run_dir=runs/faces --config=configs/ffhq1024.cfg

turns a checkpoint of the authors' training into a run directory for all other commands.

    python -m alae_tf.official verify tests/goldens/style32_forward.npz

builds the model of the file's config, takes its weights by name (with --run_dir those of a run),
computes every quantity in the file and prints the largest error of each. Training iterations are
computed in float64, the losses of the first one in float32 too.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from alae_tf.config import ConfigError
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, printable, program
from alae_tf.system.quiet import import_tensorflow


def run_import(args: argparse.Namespace) -> int:
    """Imports, and says what was read, what was left out and what comes next."""
    import_tensorflow()
    from alae_tf.official.importing import import_run

    config, read, tensors, left = import_run(args.file, args.run_dir, args.config, args.which)
    print(printable(f"{args.file}: read {', '.join(read)}: {tensors} tensors"))
    print(
        f"StyleALAE of {config.levels} levels ({config.resolution} px), {config.image_channels} "
        f"image channels, {config.start_channels} to {config.max_channels} channels, w of "
        f"{config.latent_size}, {config.mapping_layers} layers in F"
    )
    # The file's own words, which may be anything.
    print(printable(f"left out: {', '.join(left) or 'nothing'}").replace("\n", "\\n"))
    if not args.config:
        print("All other settings are defaults; --config names a flagfile with those to train by.")
    run_dir = shlex.quote(args.run_dir)
    print(
        printable(
            f"{args.run_dir} is a run at its top level. In Python, alae_tf.load_model has it; "
            f"next:\n  python -m alae_tf.train --flagfile={run_dir}/config.cfg "
            f"--run_dir={run_dir} --data=folder:PHOTOS\n  alae export --run_dir={run_dir} "
            "--out=exported --representative_data=folder:PHOTOS"
        )
    )
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Prints the table; 1 if an error is beyond the tolerance, else 0."""
    if not 0 <= args.tolerance < float("inf"):
        raise ConfigError(f"--tolerance={args.tolerance}: must be 0 or more.")
    import_tensorflow()
    from alae_tf.official.goldens import verify

    worst, worst_name, failed = -1.0, "", 0
    for name, error in verify(args.file, args.run_dir):
        if not worst_name:
            print(f"{'relative error':>15}  quantity")
        beyond = not error <= args.tolerance  # also catches NaN
        failed += beyond
        mark = "  <-- beyond the tolerance" if beyond else ""
        print(printable(f"{error:15.2e}  {name}{mark}"))
        if not error <= worst:
            worst, worst_name = error, name
    verdict = f"{failed} beyond" if failed else "all within"
    said = f"{args.file}: {verdict} {args.tolerance:g}; largest {worst:.2e} ({worst_name})"
    print(printable(said))
    return 1 if failed else 0


def weights_word(text: str) -> str:
    """What --which says; "slow", the first version's word, is refused with today's."""
    if text == "slow":
        raise argparse.ArgumentTypeError("slow is called ema now")
    return text


def parser() -> argparse.ArgumentParser:
    """The flags of both commands."""
    parser = argparse.ArgumentParser(prog=program("alae_tf.official"), description=__doc__)
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

    def work() -> int:
        try:
            return args.run(args)
        except OSError as error:
            said = f"official: --run_dir={args.run_dir}: {error.strerror or error}."
            print(printable(said), file=sys.stderr)
            return 1

    return guarded("official", work)


if __name__ == "__main__":
    sys.exit(start(main))
