"""Writes the images of any source as TFRecords, ready at every resolution from 4 pixels up.

Training from them (--data=tfrecord:DIR) sees the same images in the same order as from the source,
and decodes and shrinks nothing. The same command again goes on where it stopped; on a finished
directory it verifies every checksum and writes damaged files again.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import json
import math
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alae_tf.config import ConfigError
from alae_tf.data.prepared import MANIFEST, PLAN, WORK, Plan, check_out
from alae_tf.errors import guarded, program
from alae_tf.files import Lock, write_atomic
from alae_tf.training.interrupt import Interrupt

SHARD_BYTES = 2**30  # what a kill may cost, in each thread
LEAST_SHARDS, MOST_SHARDS = 16, 1000  # their numbers have three digits


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


def split(source, fraction: float | None) -> dict:
    """The sources of "train" and, if images are held out, "test".

    Raises:
        ConfigError: the fraction does not fit the source.
    """
    if fraction is None:
        held_out = source.held_out
        return {"train": source} | ({"test": held_out} if held_out is not None else {})
    if fraction == 0:
        return {"train": source}
    import numpy as np

    from alae_tf.data import Subset

    flag = f"--test_fraction={fraction:g}"
    if source.held_out is not None:
        raise ConfigError(
            f"{flag}: {source.uri} holds out {len(source.held_out):,} images of its own. Leave the "
            "flag out to keep them, or set it to 0 to go without."
        )
    size, count = len(source), round(fraction * len(source))
    if not 1 <= count < size:
        raise ConfigError(
            f"{flag}: holds out {count:,} of {size:,} images; at least one must be held out and "
            "one be left."
        )
    held = np.zeros(size, bool)
    held[((np.arange(count) + 0.5) * size / count).astype(np.int64)] = True
    return {
        "train": Subset(source, np.flatnonzero(~held)),
        "test": Subset(source, np.flatnonzero(held)),
    }


def make_plan(args: argparse.Namespace, sources: dict) -> Plan:
    """The plan; --shards is resolved.

    Raises:
        ConfigError: more shards than images.
    """
    from alae_tf.data.shards import record_bytes

    images, channels = len(sources["train"]), sources["train"].channels
    plan = Plan(
        data=args.data,
        channels=channels,
        max_resolution=args.max_resolution,
        test_fraction=args.test_fraction,
        train=images,
        test=len(sources["test"]) if "test" in sources else 0,
        shards=args.shards or 0,
    )
    if plan.shards > images:
        raise ConfigError(f"--shards={plan.shards}: must be at most {images:,}, one an image.")
    if not plan.shards:
        size = images * sum(record_bytes(r, channels) for r in plan.resolutions)
        shards = min(max(LEAST_SHARDS, math.ceil(size / SHARD_BYTES)), MOST_SHARDS, images)
        plan = dataclasses.replace(plan, shards=shards)
    return plan


@contextmanager
def locked(out: Path, plan: Plan) -> Iterator[None]:
    """The directory for this process alone, its plan checked or written.

    Raises:
        ConfigError: another process prepares there, or by another plan.
    """
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    try:
        lock = Lock(work / "lock")
    except BlockingIOError:
        raise ConfigError(f"--out={out}: another process is preparing images there.") from None
    with lock:
        path = out / PLAN
        if path.exists():
            plan.check_same(path)
        else:
            write_atomic(path, _json(dataclasses.asdict(plan)))
        for left in [*work.glob("*.tfrecords.*"), *work.glob("*.partial")]:  # of a killed process
            left.unlink()
        yield


def prepare(args: argparse.Namespace) -> int:
    """Opens, checks and writes; returns the exit code.

    Raises:
        ConfigError, DataError: before any work.
    """
    from alae_tf.data import open_source
    from alae_tf.data.shards import SourceChangedError, Stopped

    sources = split(open_source(args.data), args.test_fraction)
    plan = make_plan(args, sources)
    with Interrupt() as interrupt, locked(args.out, plan):
        try:
            print(write(args.out, plan, sources, interrupt))
            return 0
        except Stopped:
            reason, code = interrupt.reason, interrupt.exit_code
        except SourceChangedError as error:
            print(
                f"prepare: {error}. Restore them, or prepare into another --out.", file=sys.stderr
            )
            return 1
        except Exception as error:
            reason, code = _reason(error), 1
    print(
        f"prepare: {reason}. --out={args.out}: finished shards are kept; the same command goes on.",
        file=sys.stderr,
    )
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


def write(out: Path, plan: Plan, sources: dict, interrupt: Interrupt) -> str:
    """Writes what is not there yet, dataset.json last; returns what was done, in words."""
    from tqdm import tqdm

    from alae_tf.data.shards import ShardWriter, divide, write_labels

    shards = []
    for part, source in sources.items():  # those of "test" are as large as those of "train"
        number = plan.shards if part == "train" else -(-len(source) * plan.shards // plan.train)
        shards += divide(part, len(source), min(number, MOST_SHARDS))
    lock = threading.Lock()
    bar = tqdm(
        desc="prepare",
        total=sum(map(len, shards)),
        unit="img",
        unit_scale=True,
        mininterval=0.5 if sys.stderr.isatty() else 30,
    )

    def advance(images: int) -> None:
        with lock:
            bar.update(images)

    with bar:
        writer = ShardWriter(out, sources, plan.resolutions, lambda: interrupt.asked, advance)
        _check_space(out, plan, [shard for shard in shards if writer.note(shard) is None])
        labels = {part: write_labels(out, part, source) for part, source in sources.items()}
        writer.run(shards)
    parts = {
        part: {
            "images": len(source),
            "labels": labels[part],
            "files": {
                name: entry
                for shard in shards
                if shard.part == part
                for name, entry in writer.note(shard).items()
            },
        }
        for part, source in sources.items()
    }
    before = (out / MANIFEST).exists()
    write_atomic(out / MANIFEST, _json(dataclasses.asdict(plan) | {"parts": parts}))
    return _summary(out, plan, writer, before)


def _check_space(out: Path, plan: Plan, shards: list) -> None:
    from alae_tf.data.shards import record_bytes

    per_image = sum(record_bytes(r, plan.channels) for r in plan.resolutions)
    need, free = per_image * sum(map(len, shards)), shutil.disk_usage(out).free
    if need > free:
        text = f"{need / 2**30:,.2f} GiB are needed and {free / 2**30:,.2f} GiB free"
        raise OSError(errno.ENOSPC, text)


def _summary(out: Path, plan: Plan, writer, before: bool) -> str:
    files = writer.kept + len(writer.written) + len(writer.repaired)
    done = f"prepare: {out}: {plan.train:,} images to train on and {plan.test:,} held out, at "
    done += f"{', '.join(map(str, plan.resolutions))} px, in {files:,} files"
    if writer.repaired:
        done += f"; damaged or missing and written again: {', '.join(sorted(writer.repaired))}"
    elif before:
        done += ", all as their checksums say: nothing to do"
    elif writer.kept:
        done += f", {writer.kept:,} of which were there"
    return f"{done}.\nTrain with --data=tfrecord:{out} --image_channels={plan.channels}"


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed on the way, 2 a wrong flag or source, 128 + n signal n."""
    args = parse(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def work() -> int:
        check_out(args.out)
        try:
            return prepare(args)
        except OSError as error:
            print(f"prepare: --out={args.out}: {error.strerror or error}.", file=sys.stderr)
            return 1

    return guarded("prepare", work)


if __name__ == "__main__":
    sys.exit(main())
