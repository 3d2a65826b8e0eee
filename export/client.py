"""Talks to a served model, over REST or gRPC: images in, codes or pictures out.

python -m export.client --url=http://localhost:8501 encode photo.png --out=w.npy
python -m export.client --url=grpc://localhost:8500 generate --count=16 --out=new.png
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from alae_tf.errors import guarded, program, reason
from alae_tf.images.picture import lay_out, png
from alae_tf.quiet import import_tensorflow

from . import ExportError, ExportFailed
from .encode import Images, is_colour, read_codes, read_colour, write

ATTEMPTS = 5
MOST_BYTES = 2**28  # a gRPC message
MOST_JSON = 2**30  # bytes of a REST answer; numbers are longer there
MOST_LATENT = 2**16
MOST_WORDS = 500  # characters of a server's message
Result = TypeVar("Result")


class ServerError(ExportFailed):
    """The server cannot be reached, or refused the request; the message is its own.

    Args:
        message: what it says.
        refused: whether it found fault with what was sent.
    """

    def __init__(self, message: str, refused: bool = False):
        super().__init__(message)
        self.refused = refused


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """What work() returns, or raises, if that takes no longer; else it is left to itself.

    Raises:
        TimeoutError: it takes longer.
    """
    outcome: queue.SimpleQueue = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return result


class Rest:
    """TF Serving's REST interface (and KServe's first one): rows in, rows out.

    Args:
        url: http://host:port, with /v1/models/NAME or without.
        model: name of the model, if the URL has none.
        timeout: seconds a request may take, all attempts and the whole answer together.
    """

    def __init__(self, url: str, model: str, timeout: float):
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        parts = urlsplit(url)
        path = parts.path.rstrip("/") or f"/v1/models/{model}"
        self.url, self.timeout = f"{parts.scheme}://{parts.netloc}{path}", timeout
        self.session = requests.Session()
        retry = Retry(
            total=ATTEMPTS - 1,
            read=0,  # what the server has begun is not sent again
            backoff_factor=0.2,
            status_forcelist=[503],
            allowed_methods=None,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(max_retries=retry))

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            signature: its name.
            inputs: arrays [N, …] by name; bytes as an object array [N].

        Returns:
            Arrays [N, …] by name; "" names the only output of a signature that has one.

        Raises:
            ServerError: as it says.
        """
        names = list(inputs)
        rows = [
            {name: _to_json(value) for name, value in zip(names, row, strict=True)}
            for row in zip(*inputs.values(), strict=True)
        ]
        answer = self.ask("post", ":predict", {"signature_name": signature, "instances": rows})
        rows = answer.get("predictions") if isinstance(answer, dict) else None
        if not rows or not isinstance(rows, list):
            raise ServerError(f"{self.url}: the answer has no predictions.")
        try:
            if isinstance(rows[0], dict):
                outputs = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            else:
                outputs = {"": np.array(rows)}
        except (KeyError, TypeError, ValueError, OverflowError):  # ragged, or of other outputs
            raise ServerError(f"{self.url}: the predictions are not rows of one kind.") from None
        return outputs

    def latent_size(self) -> int:
        """Length of z, from the model's metadata."""
        try:
            answer = self.ask("get", "/metadata", None)
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            dims = signatures["generate"]["inputs"]["z"]["tensor_shape"]["dim"]
            return checked_size(int(dims[1]["size"]), self.url)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise ServerError(
                f"{self.url}: does not tell the length of z; give --latent_size ({error})."
            ) from None

    def ask(self, method: str, end: str, body: Any) -> Any:
        """One request; its answer as JSON."""
        import requests

        def send() -> tuple[int, bytes]:
            where = self.url + end
            with self.session.request(
                method, where, json=body, timeout=self.timeout, stream=True
            ) as answer:
                data = bytearray()
                for chunk in answer.iter_content(2**16):
                    data += chunk
                    if len(data) > MOST_JSON:
                        raise ServerError(f"{self.url}: the answer does not end.")
                return answer.status_code, bytes(data)

        try:
            status, data = within(self.timeout, send)
        except (TimeoutError, requests.exceptions.Timeout):
            raise ServerError(
                f"{self.url}: no whole answer in {self.timeout:g} s (--timeout)."
            ) from None
        except (requests.exceptions.RequestException, ValueError) as error:
            if isinstance(error, ServerError):
                raise
            raise ServerError(f"{self.url}: cannot be reached ({_last_words(error)}).") from None
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError) as error:
            if status == 200:
                nested = isinstance(error, RecursionError)
                what = "is nested too deep" if nested else "is not JSON"
                raise ServerError(f"{self.url}: the answer {what}.") from None
            answer = data[:MOST_WORDS].decode(errors="replace")
        if status != 200:
            if isinstance(answer, dict):
                answer = answer.get("error") or answer.get("detail") or answer
            words = reason(str(answer))[:MOST_WORDS]
            raise ServerError(f"{self.url}: {status}: {words}", refused=status == 400)
        return answer


def _to_json(value: object) -> object:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return np.asarray(value).tolist()


def _last_words(error: BaseException) -> str:
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return str(reason).split(": ", 1)[-1]


class Grpc:
    """TF Serving's gRPC interface, PredictionService.

    Args:
        url: grpc://host:port.
        model: name of the model.
        timeout: seconds, for all attempts together.
    """

    def __init__(self, url: str, model: str, timeout: float):
        try:
            import_tensorflow()  # by which arrays get into TF Serving's protos
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError:
            raise ServerError(
                "gRPC needs tensorflow-serving-api: pip install -e '.[serving]'"
            ) from None
        self.grpc, self.url, self.model, self.timeout = grpc, url, model, timeout
        policy = {
            "maxAttempts": ATTEMPTS,
            "initialBackoff": "0.2s",
            "maxBackoff": "2s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        config = {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}
        options = [
            ("grpc.service_config", json.dumps(config)),
            ("grpc.max_send_message_length", MOST_BYTES),
            ("grpc.max_receive_message_length", MOST_BYTES),
        ]
        channel = grpc.insecure_channel(urlsplit(url).netloc, options)
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """As `Rest.predict`, with every output named."""
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        answer = self.ask(self.stub.Predict, request)
        try:
            for value in answer.outputs.values():
                sizes = [dim.size for dim in value.tensor_shape.dim]
                if min(sizes, default=0) < 0 or math.prod(sizes) > MOST_BYTES:
                    raise ValueError(f"an array of shape {sizes}")
            return {name: tf.make_ndarray(value) for name, value in answer.outputs.items()}
        except (ValueError, TypeError, MemoryError) as error:
            words = reason(str(error))[:MOST_WORDS]
            raise ServerError(f"{self.url}: the answer cannot be read ({words}).") from None

    def latent_size(self) -> int:
        """Length of z, from the model's metadata."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self.model
        answer = self.ask(self.stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        dims = signatures.signature_def["generate"].inputs["z"].tensor_shape.dim
        if len(dims) != 2:
            raise ServerError(f"{self.url}: has no signature `generate` with an input `z`.")
        return checked_size(dims[1].size, self.url)

    def ask(self, method, request):
        """One call, tried again while the server is unavailable."""
        try:
            return method(request, timeout=self.timeout)
        except self.grpc.RpcError as error:
            words, code = reason(error.details() or "")[:MOST_WORDS], error.code()
            refused = code == self.grpc.StatusCode.INVALID_ARGUMENT
            raise ServerError(f"{self.url}: {code.name}: {words}", refused) from None


def checked_size(size: int, url: str) -> int:
    """A length of z as a server tells it.

    Raises:
        ServerError: nobody has such a model.
    """
    if not 0 < size <= MOST_LATENT:
        raise ServerError(f"{url}: tells {size} as the length of z; give --latent_size.")
    return size


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=program(f"{__package__}.client"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", required=True, help="http[s]://host:8501 or grpc://host:8500")
    parser.add_argument("--model", default="alae", help="its name there; default: %(default)s")
    parser.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        help="seconds a request may take, until its answer is whole; default: %(default)s",
    )
    parser.add_argument(
        "--batch", type=int, default=8, help="images a request; TF Serving as set up here takes 16"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_, out in (
        ("encode", "images → w", "W.npy"),
        ("reconstruct", "images → their reconstructions", "PICTURE.png"),
    ):
        command = commands.add_parser(name, help=help_)
        command.add_argument("images", nargs="+", type=Path, help="image files or folders")
        command.add_argument("--out", type=Path, required=True, metavar=out)
    command = commands.add_parser("decode", help="w → pictures")
    command.add_argument("w", type=Path, help="a .npy file: [N, latent] or [N, styles, latent]")
    command.add_argument("--out", type=Path, required=True, metavar="PICTURE.png")
    command = commands.add_parser("generate", help="new pictures")
    command.add_argument("--count", type=int, default=1)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--psi", type=float, default=0.7, help="truncation; 1 for none")
    command.add_argument("--latent_size", type=int, help="default: the server is asked")
    command.add_argument("--out", type=Path, required=True, metavar="PICTURE.png")
    args = parser.parse_args(arguments)
    try:
        scheme, address = urlsplit(args.url)[:2]
    except ValueError:
        scheme = address = ""
    if scheme not in ("http", "https", "grpc") or not address:
        parser.error(f"--url={args.url}: must be http[s]://host:port or grpc://host:port.")
    ending = ".npy" if args.command == "encode" else ".png"
    if args.out.suffix != ending:
        parser.error(f"--out={args.out}: must end in {ending}.")
    if not args.out.resolve().parent.is_dir():
        parser.error(f"--out={args.out}: its directory does not exist.")
    limits = {
        "timeout": (1e-3, 86_400),
        "batch": (1, 1024),
        "count": (1, 10_000),
        "latent_size": (1, MOST_LATENT),
        "seed": (0, 2**63 - 1),
        "psi": (-100, 100),
    }
    for name, (least, most) in limits.items():
        value = getattr(args, name, None)
        if value is not None and not least <= value <= most:
            parser.error(f"--{name}={value}: must be {least:,} to {most:,}.")
    return args


def read(path: Path) -> bytes:
    """An image file of any kind as an upright PNG, grey if it is grey.

    Raises:
        ExportFailed: it cannot be read.
    """
    pixels = read_colour(path)
    return png(pixels if is_colour(pixels) else pixels[..., :1])


class Client:
    """What the commands ask of a server, in requests of some images each.

    Args:
        server: `Rest` or `Grpc`.
        batch: images a request.
    """

    def __init__(self, server: Rest | Grpc, batch: int):
        self.server, self.batch = server, batch

    def encode(self, images: Images) -> np.ndarray:
        """w of each image: float32 [N, latent]; files are read request by request.

        Raises:
            ExportFailed: the server fails, or one of them, or every one, cannot be taken.
        """
        parts = []
        for files in self._progress(images.files, "encode_bytes"):
            pngs = {}
            for path in files:
                try:
                    pngs[path] = read(path)
                except ExportFailed as error:
                    images.leave_out(path, error)
            parts += self._encode([path for path in files if path in pngs], pngs, images)
        return joined(parts, self.server.url).astype(np.float32)

    def _encode(self, files: list[Path], pngs: dict[Path, bytes], images: Images) -> list:
        """w of some images; if the server refuses them, of those of them that it takes."""
        if not files:
            return []
        data = np.array([pngs[path] for path in files], object)
        try:
            return [self._ask("encode_bytes", "w", image_bytes=data)]
        except ServerError as error:
            if not error.refused:
                raise
            if len(files) > 1:
                return [w for path in files for w in self._encode([path], pngs, images)]
            images.leave_out(files[0], ServerError(f"{files[0]}: {error}"))
            return []

    def pixels(self, signature: str, **inputs: np.ndarray) -> np.ndarray:
        """The pictures that a signature draws: uint8 [N, H, W, 1 or 3]."""
        rows = list(range(len(next(iter(inputs.values())))))
        parts = [
            self._ask(signature, "pixels", **{name: x[part] for name, x in inputs.items()})
            for part in self._progress(rows, signature)
        ]
        return joined(parts, self.server.url)

    def _progress(self, things: list, label: str):
        from tqdm import tqdm

        parts = [things[i : i + self.batch] for i in range(0, len(things), self.batch)]
        return tqdm(parts, label, unit="request", leave=False, delay=1)

    def _ask(self, signature: str, output: str, **inputs: np.ndarray) -> np.ndarray:
        """One output of one request, checked: w [n, latent] or uint8 pixels [n, H, W, C]."""
        url, count = self.server.url, len(next(iter(inputs.values())))
        answer = self.server.predict(signature, inputs)
        value = answer.get(output, answer.get(""))
        rank = 2 if output == "w" else 4
        if value is None or value.dtype.kind not in "fiu" or value.ndim != rank or not value.size:
            raise ServerError(f"{url}: {signature} gives no array {output} of numbers.")
        if len(value) != count:
            raise ServerError(f"{url}: {len(value)} answers to {count} inputs.")
        if output == "w":
            if not np.isfinite(value).all():
                raise ServerError(f"{url}: {signature} gives values that are not finite.")
            return value
        if value.shape[-1] not in (1, 3):
            raise ServerError(f"{url}: pictures of {value.shape[-1]} channels, not of 1 or 3.")
        if not ((value >= 0) & (value <= 255) & (value == np.rint(value))).all():
            raise ServerError(f"{url}: {signature} gives pixels that are not 0 to 255.")
        return value.astype(np.uint8)


def joined(parts: list[np.ndarray], url: str) -> np.ndarray:
    """The answers to all requests.

    Raises:
        ServerError: they differ in shape.
    """
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise ServerError(f"{url}: its answers differ in shape: {sorted(shapes)}.")
    return np.concatenate(parts)


def run(args: argparse.Namespace) -> None:
    """One command."""
    server = (Grpc if args.url.startswith("grpc:") else Rest)(args.url, args.model, args.timeout)
    client = Client(server, args.batch)
    if args.command == "encode":
        w = client.encode(Images(args.images))
        write(args.out, lambda file: np.save(file, w))
        return
    if args.command == "generate":
        shape = args.count, args.latent_size or server.latent_size()
        z = np.random.default_rng(args.seed).standard_normal(shape, np.float32)
        psi = np.full(args.count, args.psi, np.float32)
        pixels = client.pixels("generate", z=z, psi=psi)
    elif args.command == "decode":
        w = read_codes(args.w)
        if w.ndim not in (2, 3):
            raise ExportError(f"{args.w}: {list(w.shape)}, expected [N, latent] or [N, styles, …].")
        pixels = client.pixels("decode", w=w)
    else:
        pixels = client.pixels("decode", w=client.encode(Images(args.images)))
    write(args.out, png(lay_out(pixels)))


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 the server or an image is at fault, 2 a wrong flag or file."""
    args = parse(arguments)
    return guarded("client", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
