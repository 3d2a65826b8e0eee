"""Imports the authors' checkpoints, and compares this model with their numbers.

    python -m alae_tf.official import model.pth --run_dir=runs/faces --config=configs/ffhq1024.cfg

converts a checkpoint of the authors into a run directory, which all other commands accept.

    python -m alae_tf.official verify tests/goldens/style32_forward.npz

builds the model of the file's config, takes its weights from the file (with --run_dir, from a
run), recomputes every quantity in the file and prints the largest error of each. Training
iterations are computed in float64, and the losses of the first one also in float32.
"""

import argparse
import math
import shlex
import sys
from collections.abc import Sequence

from alae_tf.system.arguments import Arguments, between
from alae_tf.system.environment import command, start
from alae_tf.system.errors import printable, report
from alae_tf.system.quiet import import_tensorflow


def run_import(file: str, run_dir: str, config_path: str | None, which: str) -> int:
    """Imports a checkpoint; prints what was read, what was left out and the next commands."""
    from alae_tf.official.importing import import_run

    try:
        config, read, tensors, left = import_run(file, run_dir, config_path, which)
    except OSError as error:
        report("official", f"--run_dir={run_dir}: {error.strerror or error}.")
        return 1
    quoted, others = shlex.quote(run_dir), ", ".join(left).replace("\n", "\\n") or "nothing"
    default = "All other settings are defaults; set those of training with --config=FLAGFILE.\n"
    message = f"""\
{file}: read {", ".join(read)}: {tensors} tensors
StyleALAE of {config.levels} levels ({config.resolution} px), {config.image_channels} image \
channels, {config.start_channels} to {config.max_channels} channels, w of {config.latent_size}, \
{config.mapping_layers} layers in F
left out: {others}
{"" if config_path else default}{run_dir} is now a run at its top level. In Python, \
alae_tf.load_model loads it. Next:
  python -m alae_tf.train --flagfile={quoted}/config.cfg --run_dir={quoted} --data=folder:PHOTOS
  alae export --run_dir={quoted} --out=exported --representative_data=folder:PHOTOS"""
    print(printable(message))  # names from the file may be anything
    return 0


def run_verify(file: str, run_dir: str | None, tolerance: float) -> int:
    """Prints the table of errors; returns 1 if an error exceeds the tolerance, else 0."""
    from alae_tf.official.goldens import verify

    errors = {}
    for name, error in verify(file, run_dir):
        if not errors:
            print(f"{'relative error':>15}  quantity")
        errors[name] = error
        mark = "" if error <= tolerance else "  <-- beyond the tolerance"  # also of NaN
        print(printable(f"{error:15.2e}  {name}{mark}"))
    failed = sum(not error <= tolerance for error in errors.values())
    verdict = f"{failed} beyond" if failed else "all within"
    name, worst = max(errors.items(), key=lambda each: (math.isnan(each[1]), each[1]))
    print(printable(f"{file}: {verdict} {tolerance:g}; largest {worst:.2e} ({name})"))
    return 1 if failed else 0


@command("official")
def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 a wrong file or flag."""
    parser = Arguments("alae_tf.official", __doc__)
    commands = parser.add_subparsers(
        dest="command", required=True, parser_class=argparse.ArgumentParser
    )
    add = commands.add_parser("import", help="convert a checkpoint into a run").add_argument
    add("file", help="a .pth checkpoint of the authors")
    add("--run_dir", required=True, help="new directory for the run. Required")
    about = "flagfile of the run, for example configs/ffhq1024.cfg. Default: sizes from the "
    about += "tensors, and all other settings as in `alae train --help`"
    add("--config", help=about)
    about = "weights to import. ema: the moving average, which gives better images; raw: those "
    about += "that training moves. Default: %(default)s"
    add("--which", choices=("ema", "raw"), default="ema", help=about)
    about = "compare with numbers from the authors' model"
    add = commands.add_parser("verify", help=about).add_argument
    add("file", help="an .npz file of weights, inputs and outputs")
    add("--run_dir", help="use the weights of this run. Default: the file's")
    about = "largest relative error that passes. Default: %(default)s"
    add("--tolerance", type=between(0, 1e6, float), default=1e-4, help=about)
    args = parser.parse_args(arguments)
    import_tensorflow()
    if args.command == "verify":
        return run_verify(args.file, args.run_dir, args.tolerance)
    return run_import(args.file, args.run_dir, args.config, args.which)


if __name__ == "__main__":
    sys.exit(start(main))
