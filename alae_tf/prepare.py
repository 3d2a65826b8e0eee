"""Writes the images of any source as TFRecords at every resolution from 4 pixels up.

Training from these files (--data=tfrecord:DIR) sees the same images in the same order as training
from the source, and saves decoding and resizing. Repeat the command to continue an interrupted
preparation; on a finished directory it verifies all checksums and rewrites damaged files.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from alae_tf.data.prepared import MOST_SHARDS, check_out
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, printable, program, report
from alae_tf.system.quiet import import_tensorflow
from alae_tf.training.interrupt import Interrupt


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line, with the checks that need no images."""
    parser = argparse.ArgumentParser(
        prog=program("alae_tf.prepare"),
        description=__doc__,
        epilog="example: python -m alae_tf.prepare --data=folder:photos --out=photos128 "
        "--max_resolution=128; then python -m alae_tf.train --data=tfrecord:photos128 …",
    )
    parser.add_argument(
        "--data", required=True, help="the images; see --data of alae train. Required"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="a new directory, or that of a preparation to continue. Required",
    )
    parser.add_argument(
        "--max_resolution",
        type=int,
        required=True,
        metavar="N",
        help="highest resolution, in pixels: 4, 8, 16, … 1024; usually that of the model's last "
        "level. Required",
    )
    parser.add_argument(
        "--shards",
        type=int,
        metavar="N",
        help="files for the training images, at each resolution. Default: 16, or more to keep "
        "shards below 1 GiB (all resolutions together)",
    )
    parser.add_argument(
        "--test_fraction",
        type=float,
        metavar="X",
        help="fraction of the images to hold out, evenly spaced; 0 drops the source's own held-out "
        "images. Default: the source's own held-out images, if any",
    )
    args = parser.parse_args(arguments)
    if args.max_resolution not in [2**k for k in range(2, 11)]:
        parser.error(f"--max_resolution={args.max_resolution}: must be 4, 8, 16, … or 1024.")
    if args.shards is not None and not 1 <= args.shards <= MOST_SHARDS:
        parser.error(f"--shards={args.shards}: must be 1 to {MOST_SHARDS}.")
    if args.test_fraction is not None and not 0 <= args.test_fraction < 1:
        parser.error(f"--test_fraction={args.test_fraction:g}: must be in [0, 1).")
    return args


def prepare(
    uri: str, out: Path, max_resolution: int, shards: int | None, test_fraction: float | None
) -> int:
    """Opens, checks and writes; returns the exit code.

    Raises:
        ConfigError, DataError: before any work.
    """
    from alae_tf.data import DataError, open_source

    check_out(out)
    source = open_source(uri)  # before TensorFlow, whose import takes seconds
    import_tensorflow()
    import tensorflow as tf

    from alae_tf.data.preparing import locked, make_plan, split, write
    from alae_tf.data.shards import SourceChangedError, Stopped

    sources = split(source, test_fraction)
    plan = make_plan(uri, sources, max_resolution, shards, test_fraction)
    source.warn_about_sizes(max_resolution)
    with Interrupt() as interrupt, locked(out, plan):
        try:
            print(printable(write(out, plan, sources, lambda: interrupt.asked)))
            return 0
        except Stopped:
            reason, code = interrupt.reason, interrupt.exit_code
        except SourceChangedError as error:
            report("prepare", f"{error}. Restore them, or prepare into another --out.")
            return 1
        except (DataError, OSError, tf.errors.OpError) as error:
            first = getattr(error, "strerror", None) or str(error).splitlines()[0]
            reason, code = first.rstrip("."), 1
    report(
        "prepare",
        f"{reason}. --out={out}: finished shards are kept; the same command continues.",
    )
    return code


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 a wrong flag or source, 128 + n stopped by signal n."""
    args = parse(arguments)

    def work() -> int:
        try:
            return prepare(
                args.data, args.out, args.max_resolution, args.shards, args.test_fraction
            )
        except OSError as error:
            report("prepare", f"--out={args.out}: {error.strerror or error}.")
            return 1

    return guarded("prepare", work)


if __name__ == "__main__":
    sys.exit(start(main))
