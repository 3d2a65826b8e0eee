"""Writes the images of any source as TFRecords at every resolution from 4 pixels up.

Training from these files (--data=tfrecord:DIR) sees the same images in the same order as training
from the source, and saves decoding and resizing. Repeat the command to continue an interrupted
preparation; on a finished directory it verifies all checksums and rewrites damaged files.
"""

import sys

from alae_tf.cloud import publishing
from alae_tf.data.prepared import MANIFEST, MOST_SHARDS, PLAN, check_out, rank
from alae_tf.system.arguments import Arguments, between, place, side
from alae_tf.system.environment import command, start
from alae_tf.system.errors import printable, report
from alae_tf.system.quiet import import_tensorflow
from alae_tf.training.interrupt import Interrupt

EXAMPLE = """\
example: alae prepare --data=folder:photos --out=photos128 --max_resolution=128
         alae train --data=tfrecord:photos128 …
"""


def parser() -> Arguments:
    """The command's flags."""
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
    return parser


@command("prepare")
def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 a wrong flag or source, 128 + n stopped by signal n."""
    from alae_tf.data import DataError, open_source

    args = parser().parse_args(arguments)
    needs = PLAN, rank, (PLAN, MANIFEST).__contains__
    with publishing.opened(args.out, "preparation", *needs) as (out, upload):
        check_out(out)
        source = open_source(args.data)  # before TensorFlow, whose import takes seconds
        import_tensorflow()
        import tensorflow as tf

        from alae_tf.data.preparing import locked, make_plan, split, write
        from alae_tf.data.shards import SourceChangedError, Stopped

        sources = split(source, args.test_fraction)
        plan = make_plan(args.data, sources, args.max_resolution, args.shards, args.test_fraction)
        source.warn_about_sizes(args.max_resolution)
        code = 0
        interrupt = Interrupt()
        try:
            with interrupt, locked(out, plan):
                done = write(out, plan, sources, lambda: interrupt.asked)
            print(printable(done.replace(str(out), str(args.out))))
        except Stopped:
            reason, code = interrupt.reason, interrupt.exit_code
        except (SourceChangedError, DataError, OSError, tf.errors.OpError) as error:
            first = getattr(error, "strerror", None) or str(error).splitlines()[0]
            reason, code = first.rstrip("."), 1
        if code:
            kept = f"--out={args.out}: finished shards are kept; the same command continues."
            report("prepare", f"{reason}. {kept}")
        else:
            upload()
        return code


if __name__ == "__main__":
    sys.exit(start(main))
