"""Measures a served model under load: latency, throughput, and lost or wrong answers.

alae load --url=grpc://localhost:8500 --shape=64,64,3 --clients=1,8,64 --seconds=20

Each client repeatedly encodes an image of its own, one image per request. An answer is wrong if it
is not a w of finite numbers, or if it differs from the client's first answer by over 1e-4 of the
largest number in that answer, which reveals a server that mixes up requests. A server on this
machine shares its cores with the clients.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from alae_tf.system.arguments import Arguments, between, output, several
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, report
from alae_tf.system.files import write_atomic
from alae_tf.system.schema import finite

from .servers import DAY, ServerError, WrongAnswer, add_flags, checked, connect

if TYPE_CHECKING:
    from .servers import Server

TOLERANCE = 1e-4
HEAD = """\
| clients | requests/s | p50, ms | p99, ms | longest, ms | answered | lost | wrong |
|---|---|---|---|---|---|---|---|"""


class Load(NamedTuple):
    """The outcome of all clients' requests; a wrong answer counts as answered too.

    `per_second` counts answers; p50, p99 and longest are milliseconds from request to answer,
    failed attempts included, and NaN if nothing was answered; `errors` are the distinct messages of
    lost requests.
    """

    clients: int
    answered: int
    lost: int
    wrong: int
    per_second: float
    p50: float
    p99: float
    longest: float
    errors: list[str]


def measure(
    clients: int, seconds: float, shape: tuple[int, ...], connect: Callable[[], Server]
) -> Load:
    """Sends images of noise, of shape [H, W, C], from several clients for some seconds; each has a
    thread and a connection. Raises ServerError if its first request, before the load, fails."""
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (clients, 1, *shape)).astype(np.float32)
    servers = [connect() for _ in range(clients)]
    first = [encode(server, x) for server, x in zip(servers, images, strict=True)]
    times, wrong, errors = [], [], []
    end = time.perf_counter() + seconds

    def ask(server: Server, image: np.ndarray, expected: np.ndarray) -> None:
        while (started := time.perf_counter()) < end:
            try:
                w = encode(server, image)
                near = TOLERANCE * np.abs(expected).max()
                right = w.shape == expected.shape and np.abs(w - expected).max() <= near
            except WrongAnswer:
                right = False
            except Exception as error:  # our own faults must be counted too
                kind = "" if isinstance(error, ServerError) else f"{type(error).__name__}: "
                errors.append(f"{kind}{error}")
                continue
            times.append(time.perf_counter() - started)
            if not right:
                wrong.append(started)

    started = time.perf_counter()
    threads = [
        threading.Thread(target=ask, args=each, daemon=True)  # Ctrl-C does not wait for them
        for each in zip(servers, images, first, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    ms = 1000 * np.array(times or [np.nan])
    p50, p99, longest = np.percentile(ms, [50, 99, 100]).tolist()
    counts = len(times), len(errors), len(wrong), len(times) / took
    return Load(clients, *counts, p50, p99, longest, sorted(set(errors)))


def encode(server: Server, image: np.ndarray) -> np.ndarray:
    """w of one image, [1, latent]; raises ServerError, or WrongAnswer if it is not a w."""
    return checked(server.predict("encode", {"images": image}), "w", 2, server.url, "encode")


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 no request lost, 1 some lost or wrong, 2 a wrong flag."""
    parser = Arguments(f"{__package__}.load", __doc__)
    add_flags(parser)
    about = "shape of the model's images"
    parser.flag("--shape", about, "H,W,C", type=several(between(1, 4096)), required=True)
    about = "numbers of clients to try, one after another"
    parser.flag("--clients", about, "N,…", type=several(between(1, 1024)), default="1,8,64")
    about = "seconds to measure each number of clients"
    parser.flag("--seconds", about, "X", type=between(1e-3, DAY, float), default=20.0)
    parser.flag("--json", "file to write the results to, as JSON", "FILE", type=output())
    args = parser.parse_args(arguments)
    if len(args.shape) != 3:
        parser.error("--shape: must be three numbers, for example 64,64,3.")

    def run() -> int:
        server = functools.partial(connect, args.url, args.model, args.timeout, args.patience)
        print(HEAD, flush=True)
        rows: list[dict[str, Any]] = []
        for count in args.clients:
            load = measure(count, args.seconds, tuple(args.shape), server)
            print(
                f"| {count} | {load.per_second:.1f} | {load.p50:.1f} | {load.p99:.1f} "
                f"| {load.longest:.1f} | {load.answered:,} | {load.lost} | {load.wrong} |",
                flush=True,
            )
            for error in load.errors[:5]:
                report("load", f"lost: {error}")
            rows.append(load._asdict())
        if args.json:
            found = {"url": args.url, "shape": args.shape, "loads": rows}
            write_atomic(args.json, json.dumps(finite(found), indent=1).encode())
        return 1 if any(row["lost"] or row["wrong"] for row in rows) else 0

    return guarded("load", run)


if __name__ == "__main__":
    sys.exit(start(main))
