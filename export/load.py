"""Asks a served model by many clients at once, and tells latency, throughput and what was lost.

alae load --url=grpc://localhost:8500 --shape=64,64,3 --clients=1,8,64 --seconds=20

Each client encodes an image of its own, one a request, one after the other. An answer is wrong if
it is not a w of finite numbers, or differs from the client's first by over 1e-4 of the largest
number in it: a server that mixes up its requests is found out. The clients share this machine's
cores with a server that runs here.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, printable, program
from alae_tf.system.files import write_atomic

from .servers import PATIENCE, Grpc, Rest, ServerError, WrongAnswer, checked

TOLERANCE = 1e-4


class Load(NamedTuple):
    """What became of some clients' requests.

    Attributes:
        clients: that asked at once.
        answered, lost, wrong: requests; an answer that is wrong counts as answered too.
        per_second: answers.
        p50, p99, longest: milliseconds from request to answer, attempts that failed included.
        errors: the messages of lost requests, each once.
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


class MLflow(Rest):
    """MLflow's scoring server of one ONNX graph: named arrays in, named arrays out."""

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """As `Rest.predict`; the server knows one signature."""
        body = {"inputs": {name: value.tolist() for name, value in inputs.items()}}
        answer = self.ask("post", "", body)
        try:
            return {name: np.array(value) for name, value in answer["predictions"].items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise WrongAnswer(f"{self.url}: the answer has no named predictions.") from None


def connect(args: argparse.Namespace) -> Rest | Grpc:
    """A client's own connection."""
    kind = Rest
    if args.url.startswith("grpc:"):
        kind = Grpc
    elif urlsplit(args.url).path.endswith("/invocations"):
        kind = MLflow
    return kind(args.url, args.model, args.timeout, args.patience)


def measure(
    clients: int, seconds: float, shape: tuple[int, ...], connect: Callable[[], Rest | Grpc]
) -> Load:
    """Lets some clients ask for a while.

    Args:
        clients: how many, a thread each.
        seconds: after which none asks again.
        shape: of an image, [H, W, C]; they are noise in [−1, 1].
        connect: makes a client's connection.

    Raises:
        ServerError: the server does not answer with a w before the load begins.
    """
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (clients, 1, *shape)).astype(np.float32)
    servers = [connect() for _ in range(clients)]
    first = [encode(server, x) for server, x in zip(servers, images, strict=True)]
    times, wrong, errors = [], [], []
    end = time.perf_counter() + seconds

    def ask(server: Rest | Grpc, image: np.ndarray, expected: np.ndarray) -> None:
        while (started := time.perf_counter()) < end:
            w = None
            try:
                w = encode(server, image)
            except WrongAnswer:
                pass
            except Exception as error:  # one of ours too: it must not end the thread uncounted
                ours = "" if isinstance(error, ServerError) else f"{type(error).__name__}: "
                errors.append(f"{ours}{error}")
                continue
            times.append(time.perf_counter() - started)
            if w is None or not agree(w, expected):
                wrong.append(started)

    started = time.perf_counter()
    threads = [
        threading.Thread(target=ask, args=each, daemon=True)
        for each in zip(servers, images, first, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    ms = 1000 * np.array(times or [np.nan])
    p50, p99 = np.percentile(ms, [50, 99])
    return Load(
        clients,
        len(times),
        len(errors),
        len(wrong),
        len(times) / took,
        float(p50),
        float(p99),
        float(ms.max()),
        sorted(set(errors)),
    )


def encode(server: Rest | Grpc, image: np.ndarray) -> np.ndarray:
    """w of one image: [1, latent].

    Raises:
        WrongAnswer: the answer is not a w.
        ServerError: the server fails.
    """
    return checked(server.predict("encode", {"images": image}), "w", 2, server.url, "encode")


def agree(w: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two answers are the same but for rounding."""
    if w.shape != expected.shape:
        return False
    return bool(np.abs(w - expected).max() <= TOLERANCE * np.abs(expected).max())


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=program(f"{__package__}.load"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--url",
        required=True,
        help="grpc://host:8500, http[s]://host:8501, or MLflow's http://host:5000/invocations",
    )
    parser.add_argument("--shape", required=True, metavar="H,W,C", help="of the model's images")
    parser.add_argument("--clients", default="1,8,64", metavar="N,…", help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="with each number; default: %(default)s"
    )
    parser.add_argument("--model", default="alae", help="its name there; default: %(default)s")
    parser.add_argument(
        "--timeout", type=float, default=30.0, help="seconds an attempt; default: %(default)s"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        help="seconds in which a server that is away is asked again; default: %(default)s",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    args = parser.parse_args(arguments)
    scheme, _, rest = args.url.partition("://")
    if scheme not in ("http", "https", "grpc") or not rest:
        parser.error(f"--url={args.url}: must be http[s]://host:port or grpc://host:port.")
    args.shape = whole_numbers(parser, "--shape", args.shape, 4096, "64,64,3")
    if len(args.shape) != 3:
        parser.error("--shape: must be three numbers, as 64,64,3.")
    args.clients = whole_numbers(parser, "--clients", args.clients, 1024, "1,8")
    for name in ("seconds", "timeout"):
        if not 0 < getattr(args, name) <= 86_400:
            parser.error(f"--{name}={getattr(args, name)}: must be over 0, to 86,400.")
    if not 0 <= args.patience <= 86_400:
        parser.error(f"--patience={args.patience}: must be 0 to 86,400.")
    if args.json and not args.json.resolve().parent.is_dir():
        parser.error(f"--json={args.json}: its directory does not exist.")
    return args


def whole_numbers(
    parser: argparse.ArgumentParser, flag: str, text: str, most: int, example: str
) -> list[int]:
    """Numbers as in the example."""
    parts = text.split(",")
    if not all(re.fullmatch(r"\d{1,9}", part) and 1 <= int(part) <= most for part in parts):
        parser.error(f"{flag}={text}: must be whole numbers of 1 to {most:,}, as {example}.")
    return [int(part) for part in parts]


def work(args: argparse.Namespace) -> int:
    """Measures and prints a row for each number of clients."""
    print("| clients | requests/s | p50, ms | p99, ms | longest, ms | answered | lost | wrong |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    rows: list[dict[str, Any]] = []
    for clients in args.clients:
        load = measure(clients, args.seconds, tuple(args.shape), lambda: connect(args))
        print(
            f"| {clients} | {load.per_second:.1f} | {load.p50:.1f} | {load.p99:.1f} "
            f"| {load.longest:.1f} | {load.answered:,} | {load.lost} | {load.wrong} |",
            flush=True,
        )
        for error in load.errors[:5]:
            print(f"load: lost: {printable(error)}", file=sys.stderr)
        rows.append(load._asdict())
    if args.json:
        text = json.dumps({"url": args.url, "shape": args.shape, "loads": rows}, indent=1)
        write_atomic(args.json, text.encode())
    return 1 if any(row["lost"] or row["wrong"] for row in rows) else 0


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 no request lost, 1 some lost or wrong, 2 a wrong flag."""
    args = parse(arguments)
    return guarded("load", lambda: work(args))


if __name__ == "__main__":
    sys.exit(start(main))
