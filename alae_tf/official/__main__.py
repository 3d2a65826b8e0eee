"""Imports the authors' checkpoints, and compares this model with their numbers.

    python -m alae_tf.official import model.pth --run_dir=runs/faces --config=configs/ffhq1024.cfg

converts a checkpoint of the authors into a run directory, which all other commands accept.

    python -m alae_tf.official verify tests/goldens/style32_forward.npz

builds the model of the file's config, takes its weights from the file (with --run_dir, from a
run), recomputes every quantity in the file and prints the largest error of each. Training
iterations are computed in float64, and the losses of the first one also in float32.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence

from alae_tf.system.arguments import Arguments, between
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, printable, report
from alae_tf.system.quiet import import_tensorflow


def run_import(file: str, run_dir: str, config_path: str | None, which: str) -> int:
    """Imports a checkpoint; prints what was read, what was left out and the next commands."""
    import_tensorflow()
    from alae_tf.official.importing import import_run

    config, read, tensors, left = import_run(file, run_dir, config_path, which)
    print(printable(f"{file}: read {', '.join(read)}: {tensors} tensors"))
    print(
        f"StyleALAE of {config.levels} levels ({config.resolution} px), {config.image_channels} "
        f"image channels, {config.start_channels} to {config.max_channels} channels, w of "
        f"{config.latent_size}, {config.mapping_layers} layers in F"
    )
    # Names from the file, which may be anything.
    print(printable(f"left out: {', '.join(left) or 'nothing'}").replace("\n", "\\n"))
    if not config_path:
        print("All other settings are defaults; set those of training with --config=FLAGFILE.")
    quoted = shlex.quote(run_dir)
    print(
        printable(
            f"{run_dir} is now a run at its top level. In Python, alae_tf.load_model loads it. "
            f"Next:\n  python -m alae_tf.train --flagfile={quoted}/config.cfg "
            f"--run_dir={quoted} --data=folder:PHOTOS\n  alae export --run_dir={quoted} "
            "--out=exported --representative_data=folder:PHOTOS"
        )
    )
    return 0


def run_verify(file: str, run_dir: str | None, tolerance: float) -> int:
    """Prints the table of errors; returns 1 if an error exceeds the tolerance, else 0."""
    import_tensorflow()
    from alae_tf.official.goldens import verify

    worst, worst_name, failed = -1.0, "", 0
    for name, error in verify(file, run_dir):
        if not worst_name:
            print(f"{'relative error':>15}  quantity")
        beyond = not error <= tolerance  # also catches NaN
        failed += beyond
        mark = "  <-- beyond the tolerance" if beyond else ""
        print(printable(f"{error:15.2e}  {name}{mark}"))
        if not error <= worst:
            worst, worst_name = error, name
    verdict = f"{failed} beyond" if failed else "all within"
    print(printable(f"{file}: {verdict} {tolerance:g}; largest {worst:.2e} ({worst_name})"))
    return 1 if failed else 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags of both commands."""
    parser = Arguments("alae_tf.official", __doc__)
    commands = parser.add_subparsers(
        dest="command", required=True, parser_class=argparse.ArgumentParser
    )
    command = commands.add_parser("import", help="convert a checkpoint of the authors into a run")
    command.add_argument("file", help="a .pth checkpoint of the authors")
    command.add_argument("--run_dir", required=True, help="new directory for the run. Required")
    command.add_argument(
        "--config",
        help="flagfile of the run, for example configs/ffhq1024.cfg. Default: sizes from the "
        "tensors, and all other settings as in `alae train --help`",
    )
    command.add_argument(
        "--which",
        choices=("ema", "raw"),
        default="ema",
        help="weights to import. ema: the moving average, which gives better images; raw: those "
        "that training moves. Default: %(default)s",
    )
    command = commands.add_parser("verify", help="compare with numbers from the authors' model")
    command.add_argument("file", help="an .npz file of weights, inputs and outputs")
    command.add_argument("--run_dir", help="use the weights of this run. Default: the file's")
    command.add_argument(
        "--tolerance",
        type=between(0, 1e6, float),
        default=1e-4,
        help="largest relative error that passes. Default: %(default)s",
    )
    return parser.parse_args(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 1 failed, 2 a wrong file or flag."""
    args = parse(argv)

    def work() -> int:
        try:
            if args.command == "verify":
                return run_verify(args.file, args.run_dir, args.tolerance)
            return run_import(args.file, args.run_dir, args.config, args.which)
        except OSError as error:
            report("official", f"--run_dir={args.run_dir}: {error.strerror or error}.")
            return 1

    return guarded("official", work)


if __name__ == "__main__":
    sys.exit(start(main))
