"""Writes the images of any source as TFRecords; continues an unfinished preparation."""

import dataclasses
import errno
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from alae_tf.data.prepared import MANIFEST, MOST_SHARDS, PLAN, WORK, Plan
from alae_tf.data.shards import ShardWriter, divide, record_bytes, write_labels
from alae_tf.data.source import Source, Subset
from alae_tf.system.errors import ConfigError
from alae_tf.system.files import Lock, sweep, write_atomic

SHARD_BYTES = 2**30  # of a shard; at most this much work per thread is lost when killed
LEAST_SHARDS = 16  # unless there are fewer images

Sources = dict[str, Source]  # the images of "train", and of "test" if images are held out


def split(source: Source, fraction: float | None) -> Sources:
    """Splits a source into "train" and, if images are held out, "test".

    `fraction` is the share to hold out; 0: no images; None: the source's own held-out images.
    Raises ConfigError if the source has held-out images already, or a part would have no images.
    """
    if not fraction:
        held_out = source.held_out if fraction is None else None
        return {"train": source} | ({"test": held_out} if held_out is not None else {})
    flag = f"--test_fraction={fraction:g}"
    if source.held_out is not None:
        raise ConfigError(f"{flag}: {source.uri} has held-out images; omit it, or set it to 0.")
    size, count = len(source), round(fraction * len(source))
    if not 1 <= count < size:
        raise ConfigError(f"{flag}: holds out {count:,} of {size:,}; both parts need images.")
    held = ((np.arange(count) + 0.5) * size / count).astype(np.int64)
    kept = np.setdiff1d(np.arange(size), held)
    return {"train": Subset(source, kept), "test": Subset(source, held)}


def make_plan(
    data: str, sources: Sources, max_resolution: int, shards: int | None, fraction: float | None
) -> Plan:
    """The plan; by default with shards of `SHARD_BYTES`, but at least `LEAST_SHARDS`. Raises
    ConfigError if there are more shards than images."""
    images, channels = len(sources["train"]), sources["train"].channels
    if shards and shards > images:
        raise ConfigError(f"--shards={shards}: must be at most {images:,}, the number of images.")
    test = len(sources.get("test", ()))
    plan = Plan(data, channels, max_resolution, fraction, images, test, shards or 0)
    if not shards:
        size = images * sum(record_bytes(r, channels) for r in plan.resolutions)
        shards = min(max(LEAST_SHARDS, math.ceil(size / SHARD_BYTES)), MOST_SHARDS, images)
    return dataclasses.replace(plan, shards=shards)


@contextmanager
def locked(out: Path, plan: Plan) -> Iterator[None]:
    """Locks a directory for this process, and checks or writes its plan; raises ConfigError if
    another process is preparing images there, or the plan differs."""
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
    """Writes the missing files into a `locked` directory, and dataset.json last; returns a summary.
    `stopping` is called before each image; the work ends if it returns True.

    Raises ConfigError if foreign files have the names of files to be written, OSError if the disk
    has too little space; see also `ShardWriter.run`.
    """
    shards = []
    for part, source in sources.items():  # shards of "test" are as large as those of "train"
        number = plan.shards if part == "train" else -(-len(source) * plan.shards // plan.train)
        shards += divide(part, len(source), min(number, MOST_SHARDS))
    per_image = sum(record_bytes(r, plan.channels) for r in plan.resolutions)
    total, often = sum(map(len, shards)), 0.5 if sys.stderr.isatty() else 30
    with tqdm(None, "prepare", total, unit="img", unit_scale=True, mininterval=often) as bar:
        writer = ShardWriter(out, sources, plan.resolutions, stopping, bar.update)
        writer.check(shards)
        need = per_image * sum(len(shard) for shard in shards if writer.note(shard) is None)
        free = shutil.disk_usage(out).free
        if need > free:
            sizes = f"{need / 2**30:,.2f} GiB are needed, but {out} has only {free / 2**30:,.2f}"
            raise OSError(errno.ENOSPC, sizes)
        labels = {part: write_labels(out, part, source) for part, source in sources.items()}
        writer.run(shards)
    parts = {
        part: {"images": len(source), "labels": labels[part], "files": {}}
        for part, source in sources.items()
    }
    for shard in shards:
        parts[shard.part]["files"] |= writer.note(shard)
    write_atomic(out / MANIFEST, _json(dataclasses.asdict(plan) | {"parts": parts}))
    resolutions = ", ".join(map(str, plan.resolutions))
    files = sum(len(part["files"]) for part in parts.values())
    repaired = ", ".join(sorted(writer.repaired)) or "none"
    return (
        f"prepare: {out}: {plan.train:,} images to train on and {plan.test:,} held out, at "
        f"{resolutions} px, in {files:,} files; damaged or missing and rewritten: {repaired}.\n"
        f"Train with --data=tfrecord:{out} --image_channels={plan.channels}"
    )


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
