"""Turns a run into files for others to run, and proves each against the Keras model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from alae_tf.environment import start
from alae_tf.errors import guarded, program
from alae_tf.quiet import import_tensorflow
from alae_tf.runs.directory import existing_run

from . import QUANTIZATIONS, publish

FORMATS = ("saved_model", "tflite", "onnx", "keras", "web")
DEFAULT_FORMATS = FORMATS[:3]
GRAPHS = ("encoder", "decoder")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; lists are checked here."""
    parser = argparse.ArgumentParser(
        prog=program(f"{__package__}"),
        description=__doc__,
        epilog="Example: %(prog)s --run_dir=runs/quickstart --out=exported",
    )
    add_model_flags(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="new directory, or an export's of the same run and level, which it then brings up to "
        "date: SavedModels as a new version beside the others",
    )
    parser.add_argument(
        "--formats",
        default=",".join(DEFAULT_FORMATS),
        help="saved_model, tflite, onnx; keras: model.keras; web: a page that runs the model "
        "in the browser. Default: %(default)s",
    )
    parser.add_argument(
        "--graphs",
        default=",".join(GRAPHS),
        help="what TFLite and ONNX files are made of; default: %(default)s",
    )
    parser.add_argument(
        "--quantize",
        default=",".join(QUANTIZATIONS),
        help="TFLite files to write: none (float32), float16, dynamic_int8 (int8 kernels), int8 "
        "(int8 activations too; uint8 pixels in, float w out). Default: %(default)s",
    )
    parser.add_argument(
        "--representative_data",
        metavar="URI",
        help="real images, as --data of training, to compare on and to calibrate int8 with; "
        "default: the run's own",
    )
    parser.add_argument(
        "--max_int8_error",
        type=float,
        default=0.10,
        help="int8 encoders further off (root mean square error of w, against the spread of w "
        "between images) are not written. Default: %(default)s",
    )
    parser.add_argument(
        "--directions",
        type=Path,
        metavar="FILE",
        help="web: of alae_tf.directions, a slider each",
    )
    parser.add_argument(
        "--web_runtime",
        metavar="DIR|cdn|URL",
        help="web: runtime/ of another export; cdn, or a place like it: the page fetches the "
        "runtime from there. Default: LiteRT.js from npm, kept for the next time",
    )
    args = parser.parse_args(arguments)
    args.formats = _list(parser, "--formats", args.formats, FORMATS)
    args.graphs = _list(parser, "--graphs", args.graphs, GRAPHS)
    args.quantize = _list(parser, "--quantize", args.quantize, QUANTIZATIONS)
    for name in ("directions", "web_runtime"):
        if getattr(args, name) is not None and "web" not in args.formats:
            parser.error(f"--{name}={getattr(args, name)}: goes with --formats=…,web.")
    if not 0 <= args.max_int8_error < float("inf"):
        parser.error(f"--max_int8_error={args.max_int8_error}: must be 0 or more.")
    return args


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say which model is meant: --run_dir or --untrained, and --level."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run_dir", type=Path, help="the run; its EMA weights are taken")
    what.add_argument(
        "--untrained",
        type=Path,
        metavar="CONFIG",
        help="instead: a config with random weights, to try sizes and speeds before training",
    )
    parser.add_argument("--level", type=int, help="level of a growing model; default: as trained")


def _list(parser, flag: str, text: str, known: tuple[str, ...]) -> list[str]:
    values = text.split(",")
    for value in values:
        if value not in known:
            parser.error(f"{flag}={text}: {value!r} is none of {', '.join(known)}.")
    return [value for value in known if value in values]


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed on the way or a file left out, 2 a wrong flag."""
    args = parse(arguments)

    def work() -> int:
        publish.check_out(args.out)
        if args.run_dir:
            existing_run(args.run_dir)
        import_tensorflow()
        from .exporter import export

        return export(args)

    return guarded("export", work)


if __name__ == "__main__":
    sys.exit(start(main))
