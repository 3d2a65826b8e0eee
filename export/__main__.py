"""Writes a trained model in formats that other programs run, and checks each file against Keras."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from alae_tf.runs.directory import existing_run
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, program
from alae_tf.system.quiet import import_tensorflow

from . import publish, registry
from .formats import Options
from .tflite import QUANTIZATIONS

GRAPHS = ("encoder", "decoder")


def parse(arguments: list[str] | None = None) -> Options:
    """The command line."""
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
        help="directory to write. It must be new or empty, or hold an export of the same run and "
        "level, which is then updated: files are replaced, and the SavedModel becomes a new "
        "version beside the earlier ones. Required",
    )
    add_formats_flag(parser)
    parser.add_argument(
        "--graphs",
        type=names(GRAPHS),
        default=",".join(GRAPHS),
        help="networks to write as ONNX and TFLite files, separated by commas. Name only one if "
        "you need no other. Default: %(default)s",
    )
    parser.add_argument(
        "--quantize",
        type=names(QUANTIZATIONS),
        default=",".join(QUANTIZATIONS),
        help="TFLite files to write for each network, separated by commas. none: float32; "
        "float16: weights in float16, half the size; dynamic_int8: weights in 8 bits; int8: "
        "weights and activations in 8 bits, and the encoder takes uint8 pixels. Leave out those "
        "that you do not need, to save time. Default: %(default)s",
    )
    parser.add_argument(
        "--representative_data",
        metavar="URI",
        help="real images, named as for --data in training. Exported files are compared with "
        "Keras on them, and int8 is calibrated with them. Give it if the data of the run is not "
        "available on this machine. Default: the data of the run",
    )
    parser.add_argument(
        "--max_int8_error",
        type=float,
        default=Options.max_int8_error,
        help="largest error of w that is allowed of int8 encoders: root mean square, as a fraction "
        "of the spread of w between images. An encoder with a larger error is not written. Raise "
        "it if a coarser w is good enough. Default: %(default)s",
    )
    parser.add_argument(
        "--directions",
        type=Path,
        metavar="FILE",
        help="web only: file written by alae_tf.directions; each direction becomes a slider of "
        "the page. Default: directions.json in the run directory, if it exists",
    )
    parser.add_argument(
        "--web_runtime",
        metavar="DIR|cdn|URL",
        help="web only: where the page finds LiteRT.js, which runs the model. DIR: runtime/ of "
        "another export, to work offline; cdn, or the URL of a similar host: visitors download it "
        "from there, which makes the folder smaller. Default: a copy from npm, which is cached",
    )
    options = Options(**vars(parser.parse_args(arguments)))
    for name in ("directions", "web_runtime"):
        if getattr(options, name) is not None and "web" not in options.formats:
            parser.error(f"--{name}={getattr(options, name)}: needs web in --formats.")
    if not 0 <= options.max_int8_error < float("inf"):
        parser.error(f"--max_int8_error={options.max_int8_error}: must be 0 or more.")
    return options


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that name the model: --run_dir or --untrained, and --level."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--run_dir",
        type=Path,
        help="directory of a training run, or the name of a shipped model; its EMA weights are "
        "exported. Required, unless --untrained is given",
    )
    what.add_argument(
        "--untrained",
        type=Path,
        metavar="CONFIG",
        help="config file (.cfg) of a model with random weights. Use it instead of --run_dir to "
        "try sizes and speeds before training",
    )
    parser.add_argument(
        "--level",
        type=int,
        help="level of a progressively grown model, from 0 (the lowest resolution). Give it to "
        "export a lower resolution. Default: the level that the run has reached",
    )


def add_formats_flag(parser: argparse.ArgumentParser) -> None:
    """--formats, which `registry.FORMATS` describes."""
    about = "; ".join(f"{each.name}: {each.about}" for each in registry.FORMATS)
    parser.add_argument(
        "--formats",
        type=names([each.name for each in registry.FORMATS]),
        default=",".join(each.name for each in registry.FORMATS if each.default),
        help=f"formats, separated by commas. {about}. Leave out those that you do not need, "
        "to save time. Default: %(default)s",
    )


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """The type of a flag that takes some of these names, separated by commas."""
    known = list(known)

    def parse(text: str) -> list[str]:
        values = text.split(",")
        for value in values:
            if value not in known:
                raise argparse.ArgumentTypeError(
                    f"{value!r} is not one of {', '.join(known)}, separated by commas"
                )
        return [value for value in known if value in values]

    return parse


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed on the way or a file left out, 2 a wrong flag."""
    options = parse(arguments)

    def work() -> int:
        publish.check_out(options.out)
        if options.run_dir:
            existing_run(options.run_dir)
        import_tensorflow()
        from .exporter import export

        return export(options)

    return guarded("export", work)


if __name__ == "__main__":
    sys.exit(start(main))
