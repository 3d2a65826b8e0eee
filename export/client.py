"""Talks to a served model, over REST or gRPC: images in, codes or pictures out.

python -m export.client --url=http://localhost:8501 encode photo.png --out=w.npy
python -m export.client --url=grpc://localhost:8500 generate --count=16 --out=new.png
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from alae_tf.errors import guarded
from alae_tf.images.read import read_image
from export import ExportError
from export.encode import find, grid, read_codes, write

ATTEMPTS = 5
MOST_BYTES = 2**28  # a gRPC message


class ServerError(ExportError):
    """The server cannot be reached, or refused the request; the message is its own."""


class Rest:
    """TF Serving's REST interface (and KServe's first one): rows in, rows out.

    Args:
        url: http://host:port, with /v1/models/NAME or without.
        model: name of the model, if the URL has none.
        timeout: seconds, for one attempt.
    """

    def __init__(self, url: str, model: str, timeout: float):
        import requests
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
            self.session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))

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
        if not rows:
            raise ServerError(f"{self.url}: the answer has no predictions.")
        try:
            if isinstance(rows[0], dict):
                outputs = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            else:
                outputs = {"": np.array(rows)}
        except (KeyError, TypeError, ValueError):  # ragged, or rows of different outputs
            raise ServerError(f"{self.url}: the predictions are not rows of one kind.") from None
        return outputs

    def latent_size(self) -> int:
        """Length of z, from the model's metadata."""
        try:
            answer = self.ask("get", "/metadata", None)
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            dims = signatures["generate"]["inputs"]["z"]["tensor_shape"]["dim"]
            return int(dims[1]["size"])
        except (KeyError, IndexError, TypeError, ValueError) as error:  # ServerError among them
            raise ServerError(
                f"{self.url}: does not tell the length of z; give --latent_size ({error})."
            ) from None

    def ask(self, method: str, end: str, body: object) -> object:
        """One request; its answer as JSON."""
        import requests

        try:
            answer = self.session.request(method, self.url + end, json=body, timeout=self.timeout)
        except requests.exceptions.Timeout:
            raise ServerError(f"{self.url}: no answer in {self.timeout:g} s (--timeout).") from None
        except requests.exceptions.RequestException as error:
            raise ServerError(f"{self.url}: cannot be reached ({_last_words(error)}).") from None
        if answer.status_code != 200:
            try:
                text = answer.json()
                if isinstance(text, dict):
                    text = text.get("error") or text.get("detail") or text
            except ValueError:
                text = answer.text[:500]
            raise ServerError(f"{self.url}: {answer.status_code}: {telling(str(text))}")
        try:
            return answer.json()
        except ValueError:
            raise ServerError(f"{self.url}: the answer is not JSON.") from None


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
        return {name: tf.make_ndarray(value) for name, value in answer.outputs.items()}

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
        return dims[1].size

    def ask(self, method, request):
        """One call, tried again while the server is unavailable."""
        try:
            return method(request, timeout=self.timeout)
        except self.grpc.RpcError as error:
            details = telling(error.details() or "")
            raise ServerError(f"{self.url}: {error.code().name}: {details}") from None


def telling(message: str) -> str:
    """The line of TensorFlow's message that says what was wrong."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    asserted = [line.partition("assertion failed: ")[2] for line in lines]
    asserted = [line for line in asserted if line]
    others = [line for line in lines if not line.startswith(("Graph execution error", "Detected"))]
    return (asserted or others or [message])[0]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m export.client",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", required=True, help="http[s]://host:8501 or grpc://host:8500")
    parser.add_argument("--model", default="alae", help="its name there; default: %(default)s")
    parser.add_argument(
        "--timeout", type=float, default=30.0, help="seconds a request; default: %(default)s"
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
    for name in ("timeout", "batch", "count", "latent_size"):
        value = getattr(args, name, None)
        if value is not None and not 0 < value < float("inf"):
            parser.error(f"--{name}={value}: must be more than 0.")
    return args


def read(path: Path) -> bytes:
    """An image file of any kind as an upright PNG, grey if it is grey.

    Raises:
        ExportError: it cannot be read.
    """
    try:
        pixels = read_image(path, 3)
    except Exception as error:  # PIL's plug-ins raise whatever their parser stumbles over
        raise ExportError(f"{path}: cannot be read as an image ({error}).") from None
    grey = not np.ptp(pixels, axis=-1).any()
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if grey else pixels).save(file, "PNG")
    return file.getvalue()


def run(args: argparse.Namespace) -> None:
    """One command, in requests of --batch images."""
    from tqdm import tqdm

    server = (Grpc if args.url.startswith("grpc:") else Rest)(args.url, args.model, args.timeout)

    def predict(signature: str, output: str, **inputs: np.ndarray) -> np.ndarray:
        starts = range(0, len(next(iter(inputs.values()))), args.batch)
        parts = []
        for start in tqdm(starts, signature, unit="request", leave=False, delay=1):
            part = {name: value[start : start + args.batch] for name, value in inputs.items()}
            if "image_bytes" in part:
                part["image_bytes"] = np.array([read(p) for p in part["image_bytes"]], object)
            answer = server.predict(signature, part)
            value = answer.get(output, answer.get(""))
            rank = 2 if output == "w" else 4
            count = len(next(iter(part.values())))
            if value is None or value.dtype.kind not in "fiu" or value.ndim != rank:
                raise ServerError(f"{args.url}: {signature} gives no array {output} of numbers.")
            if len(value) != count:
                raise ServerError(f"{args.url}: {len(value)} answers to {count} inputs.")
            parts.append(value)
        return np.concatenate(parts)

    if args.command in ("encode", "reconstruct"):
        files = np.array(find(args.images), object)  # read batch by batch
        w = predict("encode_bytes", "w", image_bytes=files).astype(np.float32)
        if args.command == "encode":
            write(args.out, lambda file: np.save(file, w))
            return
    elif args.command == "decode":
        w = read_codes(args.w)
        if w.ndim not in (2, 3):
            raise ExportError(f"{args.w}: {list(w.shape)}, expected [N, latent] or [N, styles, …].")
    if args.command == "generate":
        shape = args.count, args.latent_size or server.latent_size()
        z = np.random.default_rng(args.seed).standard_normal(shape, np.float32)
        psi = np.full(args.count, args.psi, np.float32)
        pixels = predict("generate", "pixels", z=z, psi=psi)
    else:
        pixels = predict("decode", "pixels", w=w)
    picture = grid(pixels.astype(np.uint8))
    write(args.out, lambda file: picture.save(file, "PNG"))


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 the server or a file is at fault, 2 a wrong flag."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    args = parse(arguments)
    return guarded("client", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
