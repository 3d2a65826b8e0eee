"""Writes the images of any source as TFRecords: which, how many to a file, in which order, and what
is there already."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
from tqdm import tqdm

from alae_tf.data.prepared import MANIFEST, MOST_SHARDS, PLAN, WORK, Plan
from alae_tf.data.shards import Shard, ShardWriter, divide, record_bytes, write_labels
from alae_tf.data.source import Source, Subset
from alae_tf.system.errors import ConfigError
from alae_tf.system.files import Lock, sweep, write_atomic

SHARD_BYTES = 2**30  # what a kill may cost, in each thread
LEAST_SHARDS = 16  # if there are as many images

Sources = dict[str, Source]  # of each part: "train", and "test" if images are held out


def split(source: Source, fraction: float | None) -> Sources:
    """The sources of "train" and, if images are held out, "test".

    Raises:
        ConfigError: the fraction does not fit the source.
    """
    if fraction is None:
        held_out = source.held_out
        return {"train": source} | ({"test": held_out} if held_out is not None else {})
    if fraction == 0:
        return {"train": source}
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


def make_plan(
    data: str,
    sources: Sources,
    max_resolution: int,
    shards: int | None,
    test_fraction: float | None,
) -> Plan:
    """The plan; by default shards are of `SHARD_BYTES`, and at least `LEAST_SHARDS`.

    Args:
        data: URI of the source.
        sources: as of `split`.
        max_resolution, shards, test_fraction: as asked for.

    Raises:
        ConfigError: more shards than images.
    """
    images, channels = len(sources["train"]), sources["train"].channels
    plan = Plan(
        data=data,
        channels=channels,
        max_resolution=max_resolution,
        test_fraction=test_fraction,
        train=images,
        test=len(sources["test"]) if "test" in sources else 0,
        shards=shards or 0,
    )
    if plan.shards > images:
        raise ConfigError(f"--shards={plan.shards}: must be at most {images:,}, one an image.")
    if not plan.shards:
        size = images * sum(record_bytes(r, channels) for r in plan.resolutions)
        number = min(max(LEAST_SHARDS, math.ceil(size / SHARD_BYTES)), MOST_SHARDS, images)
        plan = dataclasses.replace(plan, shards=number)
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
        sweep(work)
        yield


def write(out: Path, plan: Plan, sources: Sources, stopping: Callable[[], bool]) -> str:
    """Writes what is not there yet, dataset.json last; returns what was done, in words.

    Args:
        out: the directory, `locked`.
        plan: what is to be there.
        sources: the images, as of `split`.
        stopping: asked before each image; the work ends if it says yes.

    Raises:
        Exception: as of `ShardWriter.run`; OSError: the disk has too little room.
    """
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
        writer = ShardWriter(out, sources, plan.resolutions, stopping, advance)
        _check_space(out, plan, [shard for shard in shards if writer.note(shard) is None])
        labels = {part: write_labels(out, part, source) for part, source in sources.items()}
        writer.run(shards)
    notes = {shard: cast(dict, writer.note(shard)) for shard in shards}  # all are there by now
    parts = {
        part: {
            "images": len(source),
            "labels": labels[part],
            "files": {
                name: entry
                for shard in shards
                if shard.part == part
                for name, entry in notes[shard].items()
            },
        }
        for part, source in sources.items()
    }
    before = (out / MANIFEST).exists()
    write_atomic(out / MANIFEST, _json(dataclasses.asdict(plan) | {"parts": parts}))
    return _summary(out, plan, writer, before)


def _check_space(out: Path, plan: Plan, shards: list[Shard]) -> None:
    per_image = sum(record_bytes(r, plan.channels) for r in plan.resolutions)
    need, free = per_image * sum(map(len, shards)), shutil.disk_usage(out).free
    if need > free:
        text = f"{need / 2**30:,.2f} GiB are needed and {free / 2**30:,.2f} GiB free"
        raise OSError(errno.ENOSPC, text)


def _summary(out: Path, plan: Plan, writer: ShardWriter, before: bool) -> str:
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
