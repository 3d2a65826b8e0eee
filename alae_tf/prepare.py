"""Writes the images of any source as TFRecords at every resolution from 4 pixels up.

Training from these files (--data=tfrecord:DIR) sees the same images in the same order as training
from the source, and saves decoding and resizing. Repeat the command to continue an interrupted
preparation; on a finished directory it verifies all checksums and rewrites damaged files.
"""

from __future__ import annotations

import sys
from pathlib import Path

from alae_tf.cloud import publishing
from alae_tf.data.prepared import MANIFEST, MOST_SHARDS, PLAN, check_out, rank
from alae_tf.system.arguments import Arguments, between, place, side
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, printable, report
from alae_tf.system.quiet import import_tensorflow
from alae_tf.training.interrupt import Interrupt

EXAMPLE = """\
example: alae prepare --data=folder:photos --out=photos128 --max_resolution=128
         alae train --data=tfrecord:photos128 …
"""


def prepare(
    given: Path | str,
    data: str,
    out: Path,
    max_resolution: int,
    shards: int | None,
    test_fraction: float | None,
) -> int:
    """Opens and checks the images, and writes them into `out`, which messages call `given`; returns
    the exit code. Raises ConfigError or DataError before any work."""
    from alae_tf.data import DataError, open_source

    check_out(out)
    source = open_source(data)  # before TensorFlow, whose import takes seconds
    import_tensorflow()
    import tensorflow as tf

    from alae_tf.data.preparing import locked, make_plan, split, write
    from alae_tf.data.shards import SourceChangedError, Stopped

    sources = split(source, test_fraction)
    plan = make_plan(data, sources, max_resolution, shards, test_fraction)
    source.warn_about_sizes(max_resolution)
    with Interrupt() as interrupt, locked(out, plan):
        try:
            done = write(out, plan, sources, lambda: interrupt.asked)
            print(printable(done.replace(str(out), str(given))))
            return 0
        except Stopped:
            reason, code = interrupt.reason, interrupt.exit_code
        except (SourceChangedError, DataError, OSError, tf.errors.OpError) as error:
            first = getattr(error, "strerror", None) or str(error).splitlines()[0]
            reason, code = first.rstrip("."), 1
    kept = f"--out={given}: finished shards are kept; the same command continues."
    report("prepare", f"{reason}. {kept}")
    return code


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 a wrong flag or source, 128 + n stopped by signal n."""
    parser = Arguments("alae_tf.prepare", __doc__, epilog=EXAMPLE)
    parser.flag("--data", "the images; see --data of alae train", "URI", required=True)
    about = "a new directory or URL, or that of a preparation to continue"
    parser.flag("--out", about, "DIR|URL", type=place, required=True)
    about = "highest resolution, in pixels: 4, 8, 16, … 1024; usually that of the last level"
    parser.flag("--max_resolution", about, "N", type=side, required=True)
    about = "files for the training images, at each resolution"
    usual = "16, or more to keep shards below 1 GiB (all resolutions together)"
    parser.flag("--shards", about, "N", type=between(1, MOST_SHARDS), absent=usual)
    about = "fraction of the images to hold out, evenly spaced; 0 drops the source's own held-out "
    about, usual = about + "images", "the source's own held-out images, if any"
    parser.flag("--test_fraction", about, "X", type=between(0, 1, float), absent=usual)
    args = parser.parse_args(arguments)

    def work() -> int:
        needs = PLAN, rank, (PLAN, MANIFEST).__contains__
        try:
            with publishing.opened(args.out, "preparation", *needs) as (out, upload):
                flags = vars(args) | {"given": args.out, "out": out}
                if (code := prepare(**flags)) == 0:
                    upload()
                return code
        except OSError as error:
            report("prepare", f"--out={args.out}: {error.strerror or error}.")
            return 1

    return guarded("prepare", work)


if __name__ == "__main__":
    sys.exit(start(main))
