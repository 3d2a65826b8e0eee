"""Writes the images of any source as TFRecords, ready at every resolution from 4 pixels up.

Training from them (--data=tfrecord:DIR) sees the same images in the same order as from the source,
and decodes and shrinks nothing. The same command again goes on where it stopped; on a finished
directory it verifies every checksum and writes damaged files again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from alae_tf.data.prepared import MOST_SHARDS, check_out
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, printable, program
from alae_tf.system.quiet import import_tensorflow
from alae_tf.training.interrupt import Interrupt


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; what can be wrong in itself is told here."""
    parser = argparse.ArgumentParser(
        prog=program("alae_tf.prepare"),
        description=__doc__,
        epilog="Example: python -m alae_tf.prepare --data=folder:photos --out=photos128 "
        "--max_resolution=128; then python -m alae_tf.train --data=tfrecord:photos128 …",
    )
    parser.add_argument("--data", required=True, help="the images, as --data of training")
    parser.add_argument("--out", type=Path, required=True, help="new directory, or one to go on in")
    parser.add_argument(
        "--max_resolution",
        type=int,
        required=True,
        help="highest resolution to write, in pixels: 4, 8, … 1024, as the model's last level",
    )
    parser.add_argument(
        "--shards",
        type=int,
        help="files a resolution, for the training images. Default: 16, or more for shards of "
        "1 GiB (over all resolutions)",
    )
    parser.add_argument(
        "--test_fraction",
        type=float,
        help="share of the images to hold out, taken at even distances; 0 leaves the source's own "
        "held-out images away. Default: those of the source, if it has any",
    )
    args = parser.parse_args(arguments)
    if args.max_resolution not in [2**k for k in range(2, 11)]:
        parser.error(f"--max_resolution={args.max_resolution}: must be 4, 8, 16, … or 1024.")
    if args.shards is not None and not 1 <= args.shards <= MOST_SHARDS:
        parser.error(f"--shards={args.shards}: must be 1 to {MOST_SHARDS}.")
    if args.test_fraction is not None and not 0 <= args.test_fraction < 1:
        parser.error(f"--test_fraction={args.test_fraction:g}: must be in [0, 1).")
    return args


def prepare(args: argparse.Namespace) -> int:
    """Opens, checks and writes; returns the exit code.

    Raises:
        ConfigError, DataError: before any work.
    """
    from alae_tf.data import open_source

    source = open_source(args.data)  # before TensorFlow, whose import takes seconds
    import_tensorflow()
    from alae_tf.data.preparing import locked, make_plan, split, write
    from alae_tf.data.shards import SourceChangedError, Stopped

    sources = split(source, args.test_fraction)
    plan = make_plan(args.data, sources, args.max_resolution, args.shards, args.test_fraction)
    source.warn_about_sizes(args.max_resolution)
    with Interrupt() as interrupt, locked(args.out, plan):
        try:
            print(printable(write(args.out, plan, sources, lambda: interrupt.asked)))
            return 0
        except Stopped:
            reason, code = interrupt.reason, interrupt.exit_code
        except SourceChangedError as error:
            _tell(f"{error}. Restore them, or prepare into another --out.")
            return 1
        except Exception as error:
            reason, code = _reason(error), 1
    _tell(f"{reason}. --out={args.out}: finished shards are kept; the same command goes on.")
    return code


def _reason(error: Exception) -> str:
    """The message of what a user can mend.

    Raises:
        Exception: the error itself, if it is none of these.
    """
    import tensorflow as tf

    from alae_tf.data import DataError

    if not isinstance(error, DataError | OSError | tf.errors.OpError):
        raise error
    return (getattr(error, "strerror", None) or str(error).splitlines()[0]).rstrip(".")


def _tell(message: str) -> None:
    print(printable(f"prepare: {message}"), file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed on the way, 2 a wrong flag or source, 128 + n signal n."""
    args = parse(arguments)

    def work() -> int:
        check_out(args.out)
        try:
            return prepare(args)
        except OSError as error:
            _tell(f"--out={args.out}: {error.strerror or error}.")
            return 1

    return guarded("prepare", work)


if __name__ == "__main__":
    sys.exit(start(main))
