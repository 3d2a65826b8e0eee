"""Writes a trained model in formats that other programs run, and compares each file with Keras."""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterable

from alae_tf.cloud import publishing
from alae_tf.runs.directory import CHECKPOINT, NEWEST_OR_BEST, chosen_checkpoint, existing_run
from alae_tf.system.arguments import Arguments, between, local, place
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded
from alae_tf.system.quiet import import_tensorflow

from . import publish, registry
from .formats import GRAPHS, Options
from .tflite import QUANTIZATIONS


def parse(arguments: list[str] | None = None) -> Options:
    """The command line."""
    example = "example: %(prog)s --run_dir=runs/quickstart --out=exported"
    parser = Arguments(f"{__package__}", __doc__, epilog=example)
    add_model_flags(parser)
    add_formats_flag(parser)
    flag = parser.flag
    about = "directory or URL to write: new, empty, or with an export of the same run and level. "
    about += "Its files are replaced, and the SavedModel becomes a new version"
    flag("--out", about, "DIR|URL", type=place, required=True)
    about = (
        "networks to write as ONNX and TFLite files, separated by commas. encoder and decoder: w "
        "[N, latent]; encoder_styles and decoder_styles: a code for each layer of G [N, styles, "
        "latent], which models with --encoder_codes=layers reconstruct from"
    )
    flag("--graphs", about, "NAME,…", type=names(GRAPHS), default=",".join(Options.graphs))
    about = (
        "TFLite files to write for each network, separated by commas. none: float32; float16: "
        "weights in float16, half the size; dynamic_int8: weights in 8 bits; int8: weights and "
        "activations in 8 bits, and the encoder takes uint8 pixels. Name fewer to save time"
    )
    flag("--quantize", about, "NAME,…", type=names(QUANTIZATIONS), default=",".join(QUANTIZATIONS))
    about = "real images, named as for --data in training, to compare files with Keras and to "
    about += "calibrate int8. Give them if the data of the run is not available"
    flag("--representative_data", about, "URI", absent="the data of the run")
    about = (
        "largest error of w allowed for int8 encoders: root mean square, as a fraction of the "
        "spread of w between images. An encoder with a larger error is not written. Raise it if a "
        "coarser w is good enough"
    )
    error = between(0, 1e6, float)
    flag("--max_int8_error", about, "X", type=error, default=Options.max_int8_error)
    about = (
        "the same for int8 decoders, relative to the spread of the images; must hold separately "
        "for codes of real images, random codes and edited codes. Raise it if coarser pictures are "
        "good enough"
    )
    flag("--max_int8_decoder_error", about, "X", type=error, default=Options.max_int8_decoder_error)
    about = "web only: file of `alae directions`; each direction becomes a slider"
    absent = "directions.json in the run directory, if it exists"
    flag("--directions", about, "FILE", type=local, absent=absent)
    about = (
        "web only: source of LiteRT.js, which runs the model. DIR: runtime/ of another export, to "
        "work offline; cdn, or the URL of a similar host: visitors load it from that host, and the "
        "folder is smaller"
    )
    flag("--web_runtime", about, "DIR|cdn|URL", absent="a copy from npm, which is cached")
    options = Options(**vars(parser.parse_args(arguments)))
    for name in ("directions", "web_runtime"):
        if getattr(options, name) is not None and "web" not in options.formats:
            parser.error(f"--{name}={getattr(options, name)}: needs web in --formats.")
    return options


def add_model_flags(parser: Arguments) -> None:
    """Adds the flags that name the model: --run_dir or --untrained, --checkpoint and --level."""
    model = parser.add_mutually_exclusive_group(required=True)
    about = (
        "directory or URL of a training run, or the name of a shipped model, whose EMA weights are "
        "used. Required, unless --untrained is given"
    )
    model.add_argument("--run_dir", type=place, metavar="DIR|URL", help=about)
    about = "config file (.cfg) of a model with random weights, to try sizes and speeds"
    model.add_argument("--untrained", type=local, metavar="CONFIG", help=about)
    parser.flag("--checkpoint", CHECKPOINT, NEWEST_OR_BEST, default="newest")
    about = "level of a progressively grown model, from 0 (the lowest resolution). Set it for a "
    about += "lower resolution"
    parser.flag("--level", about, "N", type=int, absent="the level that the run has reached")


def add_formats_flag(parser: Arguments) -> None:
    """Adds --formats, as `registry.FORMATS` describes it."""
    about = "; ".join(f"{each.name}: {each.about}" for each in registry.FORMATS)
    about = f"formats, separated by commas. {about}. Name fewer to save time"
    known = names([each.name for each in registry.FORMATS])
    default = ",".join(each.name for each in registry.FORMATS if each.default)
    parser.flag("--formats", about, "NAME,…", type=known, default=default)


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """The type of a flag with some of these names, separated by commas."""
    known = list(known)

    def parse(text: str) -> list[str]:
        values = text.split(",")
        for value in values:
            if value not in known:
                right = f"{', '.join(known)}, separated by commas"
                raise argparse.ArgumentTypeError(f"{value!r} is not one of {right}")
        return [value for value in known if value in values]

    return parse


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed or a file was left out, 2 a wrong flag."""
    options = parse(arguments)

    def work() -> int:
        with publishing.opened(options.out, "export", publish.MANIFEST, publish.rank) as (out, put):
            publish.check_out(out)
            if options.run_dir:
                chosen_checkpoint(existing_run(options.run_dir), options.checkpoint)
            import_tensorflow()
            from .exporter import export

            url = str(options.out) if options.out != out else None
            code = export(dataclasses.replace(options, out=out, url=url))
            put()
            return code

    return guarded("export", work)


if __name__ == "__main__":
    sys.exit(start(main))
