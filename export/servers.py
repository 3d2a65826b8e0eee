"""Connections to a served model over REST or gRPC: arrays in, arrays out, within a deadline.

Requests to an unavailable server are retried for a while. Only gRPC needs TensorFlow, for its
messages.
"""

from __future__ import annotations

import argparse
import base64
import concurrent.futures
import json
import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from alae_tf.system.arguments import Arguments, between
from alae_tf.system.errors import reason
from alae_tf.system.quiet import import_tensorflow

from . import ExportFailed

PAUSE, MOST_PAUSE = 0.2, 2.0  # seconds between attempts: random, up to a limit that doubles
UNAVAILABLE = (502, 503)  # HTTP: a model that is loading, or a proxy whose server is down
EXTRA = "which the extra `serving` includes (in a clone: pip install -e '.[serving]')"
MOST_BYTES = 2**28  # of a gRPC message
MOST_JSON = 2**30  # bytes of a REST answer, in which numbers are longer
MOST_LATENT = 2**16
MOST_WORDS = 500  # characters of a server's message
DAY = 86_400  # seconds
Result = TypeVar("Result")


class ServerError(ExportFailed):
    """The server cannot be reached or refused the request; the message quotes its answer. `refused`
    says whether the server rejected the inputs themselves."""

    def __init__(self, message: str, refused: bool = False):
        super().__init__(message)
        self.refused = refused


class WrongAnswer(ServerError):
    """The answer does not hold the arrays that were asked for."""


class ServerUnavailable(ServerError):
    """No server listens, its model is loading, or the connection broke; a later try may succeed."""


def add_flags(parser: Arguments) -> None:
    """Adds the flags of a connection: --url, --model, --timeout and --patience."""
    about = "http[s]://host:8501, grpc://host:8500, or MLflow's http://host:5000/invocations"
    parser.flag("--url", about, type=server_url, required=True)
    parser.flag("--model", "name of the model on the server", default="alae")
    about = "seconds within which an answer must be complete. Raise it for slow models"
    parser.flag("--timeout", about, "X", type=between(1e-3, DAY, float), default=30.0)
    about = "seconds to keep retrying an unreachable server, for example at a restart"
    parser.flag("--patience", about, "X", type=between(0, DAY, float), default=3.0)


def server_url(text: str) -> str:
    """The type of --url."""
    try:
        scheme, address = urlsplit(text)[:2]
    except ValueError:  # half an IPv6 address
        scheme = address = ""
    if scheme not in ("http", "https", "grpc") or not address:
        right = "must be http[s]://host:port or grpc://host:port"
        raise argparse.ArgumentTypeError(f"{text}: {right}")
    return text


def connect(url: str, model: str, timeout: float, patience: float) -> Server:
    """Opens a connection to a server; for the arguments see `Rest`."""
    if url.startswith("grpc:"):
        kind = Grpc
    else:
        kind = MLflow if urlsplit(url).path.endswith("/invocations") else Rest
    return kind(url, model, timeout, patience)


def patiently(ask: Callable[[], Result], patience: float) -> Result:
    """Returns ask(), repeated for `patience` seconds while the server is unavailable. (A signature
    is a function of its inputs alone: an interrupted request may be repeated.)"""
    try:
        import tenacity
    except ImportError:
        raise ServerError(f"The client needs tenacity, {EXTRA}.") from None
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(ServerUnavailable),
        stop=tenacity.stop_after_delay(patience),
        wait=tenacity.wait_random_exponential(PAUSE, MOST_PAUSE),
        reraise=True,
    )(ask)


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Returns or raises what work() does. After the deadline it raises TimeoutError and abandons
    the thread of work()."""
    future: concurrent.futures.Future[Result] = concurrent.futures.Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()  # an executor's would delay the exit
    return future.result(seconds)


class Rest:
    """TF Serving's REST interface, which KServe's v1 protocol shares: rows in, rows out.

    Args:
        url: http://host:port, optionally with /v1/models/NAME.
        model: name of the model, for a URL without it.
        timeout: seconds until the answer to an attempt must be complete.
        patience: seconds for which requests to an unavailable server are retried.
    """

    def __init__(self, url: str, model: str, timeout: float, patience: float = 3.0):
        import requests

        parts = urlsplit(url)
        path = parts.path.rstrip("/") or f"/v1/models/{model}"
        self.url, self.timeout = f"{parts.scheme}://{parts.netloc}{path}", timeout
        self.patience, self.session = patience, requests.Session()

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs a signature on arrays [N, …] by name (bytes: an object array [N]); returns its
        outputs [N, …] by name, or, if it has only one, by the name "". Raises ServerError."""

        def to_json(value: object) -> object:
            if isinstance(value, bytes):
                return {"b64": base64.b64encode(value).decode()}
            return np.asarray(value).tolist()

        rows = [
            {name: to_json(value) for name, value in zip(inputs, row, strict=True)}
            for row in zip(*inputs.values(), strict=True)
        ]
        answer = self.ask("post", ":predict", {"signature_name": signature, "instances": rows})
        try:
            rows = answer["predictions"]
            if isinstance(rows[0], dict):
                return {name: np.array([row[name] for row in rows]) for name in rows[0]}
            return {"": np.array(rows)}
        except (LookupError, TypeError, ValueError, OverflowError):  # ragged, or of other outputs
            raise WrongAnswer(f"{self.url}: the answer has no predictions of one kind.") from None

    def signatures(self) -> Any:
        """The model's signatures by name, as TF Serving's JSON."""
        return self.ask("get", "/metadata", None)["metadata"]["signature_def"]["signature_def"]

    def ask(self, method: str, end: str, body: Any) -> Any:
        """Sends a request; returns its answer's JSON value."""
        return patiently(lambda: self._attempt(method, end, body), self.patience)

    def _attempt(self, method: str, end: str, body: Any) -> Any:
        import requests

        def send() -> tuple[int, bytearray]:
            data, url = bytearray(), self.url + end
            with self.session.request(
                method, url, json=body, timeout=self.timeout, stream=True
            ) as answer:
                for chunk in answer.iter_content(2**16):
                    data += chunk
                    if len(data) > MOST_JSON:
                        break
                return answer.status_code, data

        try:
            status, data = within(self.timeout, send)
        except (TimeoutError, requests.exceptions.Timeout):
            why = f"no complete answer within {self.timeout:g} s (--timeout)"
            raise ServerError(f"{self.url}: {why}.") from None
        except (requests.exceptions.RequestException, ValueError) as error:
            why = getattr(error.args[0], "reason", error.args[0]) if error.args else error
            why = str(why).split(": ", 1)[-1]
            raise ServerUnavailable(f"{self.url}: cannot be reached ({why}).") from None
        if len(data) > MOST_JSON:
            raise ServerError(f"{self.url}: the answer is too long.")
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            if status == 200:
                raise WrongAnswer(f"{self.url}: the answer is not JSON.") from None
            answer = data[:MOST_WORDS].decode(errors="replace")
        if status == 200:
            return answer
        if isinstance(answer, dict):
            answer = answer.get("error") or answer.get("detail") or answer
        words = reason(str(answer))[:MOST_WORDS]
        kind = ServerUnavailable if status in UNAVAILABLE else ServerError
        raise kind(f"{self.url}: {status}: {words}", refused=status == 400)


class MLflow(Rest):
    """MLflow's scoring server of one ONNX graph: named arrays in, named arrays out."""

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Like `Rest.predict`; the signature is ignored, since the server has only one."""
        body = {"inputs": {name: value.tolist() for name, value in inputs.items()}}
        answer = self.ask("post", "", body)
        try:
            return {name: np.array(value) for name, value in answer["predictions"].items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise WrongAnswer(f"{self.url}: the answer has no named predictions.") from None


class Grpc:
    """TF Serving's gRPC interface, PredictionService. For the arguments see `Rest`."""

    def __init__(self, url: str, model: str, timeout: float, patience: float = 3.0):
        try:
            import_tensorflow()  # which converts arrays to TF Serving's protos
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError:
            raise ServerError(f"gRPC needs tensorflow-serving-api, {EXTRA}.") from None
        self.url, self.model, self.timeout, self.patience = url, model, timeout, patience
        options = [
            ("grpc.initial_reconnect_backoff_ms", int(1000 * PAUSE)),
            ("grpc.max_reconnect_backoff_ms", int(1000 * MOST_PAUSE)),
            ("grpc.max_send_message_length", MOST_BYTES),
            ("grpc.max_receive_message_length", MOST_BYTES),
        ]
        channel = grpc.insecure_channel(urlsplit(url).netloc, options)
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Like `Rest.predict`, with every output named."""
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
            raise WrongAnswer(f"{self.url}: the answer cannot be read ({words}).") from None

    def signatures(self) -> Any:
        """Like `Rest.signatures`."""
        from google.protobuf.json_format import MessageToDict
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self.model
        answer = self.ask(self.stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return MessageToDict(signatures, preserving_proto_field_name=True)["signature_def"]

    def ask(self, method, request):
        """Makes a call; returns its answer."""
        from grpc import RpcError, StatusCode

        def attempt():
            try:
                return method(request, timeout=self.timeout)
            except RpcError as error:
                words, code = reason(error.details() or "")[:MOST_WORDS], error.code()
                kind = ServerUnavailable if code == StatusCode.UNAVAILABLE else ServerError
                refused = code == StatusCode.INVALID_ARGUMENT
                raise kind(f"{self.url}: {code.name}: {words}", refused) from None

        return patiently(attempt, self.patience)


Server = Rest | Grpc


def latent_size(server: Server) -> int:
    """Length of z, from the model's metadata; raises ServerError if it is missing or absurd."""
    try:
        z = server.signatures()["generate"]["inputs"]["z"]
        size = int(z["tensor_shape"]["dim"][1]["size"])
        if not 0 < size <= MOST_LATENT:
            raise ValueError(f"not {size}")
        return size
    except ServerUnavailable:
        raise
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        why = f"the length of z is unknown ({error})"
        raise ServerError(f"{server.url}: {why}; give --latent_size.") from None


def checked(
    answer: dict[str, np.ndarray], output: str, rank: int, url: str, signature: str
) -> np.ndarray:
    """One output of an answer; raises WrongAnswer unless it is an array of that rank, not empty, of
    numbers that are finite in float32."""
    value = answer.get(output, answer.get(""))
    if value is None or value.dtype.kind not in "fiu" or value.ndim != rank or not value.size:
        raise WrongAnswer(f"{url}: {signature} returned no array {output} of numbers.")
    if not (np.abs(value) <= np.finfo(np.float32).max).all():  # NaN included
        raise WrongAnswer(f"{url}: {signature} returned values that are not finite.")
    return value
