"""A served model over REST or gRPC: arrays in, arrays out, within a deadline; a server that is away
for a while is asked again.

No TensorFlow but for gRPC, whose messages are made by it.
"""

from __future__ import annotations

import base64
import json
import math
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from alae_tf.system.errors import reason
from alae_tf.system.quiet import import_tensorflow

from . import ExportFailed

PATIENCE = 3.0  # seconds
PAUSE, MOST_PAUSE = 0.2, 2.0  # seconds between attempts: at random up to so many, each time twice
AWAY = (502, 503)  # HTTP: a model that loads, or a proxy whose server is gone
EXTRA = "which the extra `serving` brings (in a clone: pip install -e '.[serving]')"
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


class WrongAnswer(ServerError):
    """The server answered with something other than the arrays that were asked for."""


class ServerAway(ServerError):
    """Nobody listens, the model is not ready, or the connection was cut: it may come back."""


def patiently(ask: Callable[[], Result], patience: float) -> Result:
    """What ask() returns, asked again while the server is away, for `patience` seconds.

    Every signature is a function of its inputs alone, so that a request that was cut off may be
    sent again.

    Raises:
        ServerError: as ask() does.
    """
    try:
        import tenacity
    except ImportError:
        raise ServerError(f"The client needs tenacity, {EXTRA}.") from None
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(ServerAway),
        stop=tenacity.stop_after_delay(patience),
        wait=tenacity.wait_random_exponential(PAUSE, MOST_PAUSE),
        reraise=True,
    )(ask)


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
        timeout: seconds an attempt may take, until its answer is whole.
        patience: seconds in which a server that is away is asked again.
    """

    def __init__(self, url: str, model: str, timeout: float, patience: float = PATIENCE):
        import requests

        parts = urlsplit(url)
        path = parts.path.rstrip("/") or f"/v1/models/{model}"
        self.url, self.timeout = f"{parts.scheme}://{parts.netloc}{path}", timeout
        self.patience, self.session = patience, requests.Session()

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
            raise WrongAnswer(f"{self.url}: the answer has no predictions.")
        try:
            if isinstance(rows[0], dict):
                outputs = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            else:
                outputs = {"": np.array(rows)}
        except (KeyError, TypeError, ValueError, OverflowError):  # ragged, or of other outputs
            raise WrongAnswer(f"{self.url}: the predictions are not rows of one kind.") from None
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
        """A request's answer as JSON."""
        return patiently(lambda: self._attempt(method, end, body), self.patience)

    def _attempt(self, method: str, end: str, body: Any) -> Any:
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
            raise ServerAway(f"{self.url}: cannot be reached ({_last_words(error)}).") from None
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError) as error:
            if status == 200:
                nested = isinstance(error, RecursionError)
                what = "is nested too deep" if nested else "is not JSON"
                raise WrongAnswer(f"{self.url}: the answer {what}.") from None
            answer = data[:MOST_WORDS].decode(errors="replace")
        if status != 200:
            if isinstance(answer, dict):
                answer = answer.get("error") or answer.get("detail") or answer
            words = reason(str(answer))[:MOST_WORDS]
            kind = ServerAway if status in AWAY else ServerError
            raise kind(f"{self.url}: {status}: {words}", refused=status == 400)
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
        timeout, patience: as of `Rest`.
    """

    def __init__(self, url: str, model: str, timeout: float, patience: float = PATIENCE):
        try:
            import_tensorflow()  # by which arrays get into TF Serving's protos
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError:
            raise ServerError(f"gRPC needs tensorflow-serving-api, {EXTRA}.") from None
        self.grpc, self.url, self.model, self.timeout = grpc, url, model, timeout
        self.patience = patience
        options = [
            ("grpc.initial_reconnect_backoff_ms", int(1000 * PAUSE)),
            ("grpc.max_reconnect_backoff_ms", int(1000 * MOST_PAUSE)),
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
            raise WrongAnswer(f"{self.url}: the answer cannot be read ({words}).") from None

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
        """A call's answer."""
        return patiently(lambda: self._attempt(method, request), self.patience)

    def _attempt(self, method, request):
        try:
            return method(request, timeout=self.timeout)
        except self.grpc.RpcError as error:
            words, code = reason(error.details() or "")[:MOST_WORDS], error.code()
            refused = code == self.grpc.StatusCode.INVALID_ARGUMENT
            kind = ServerAway if code == self.grpc.StatusCode.UNAVAILABLE else ServerError
            raise kind(f"{self.url}: {code.name}: {words}", refused) from None


def checked(
    answer: dict[str, np.ndarray], output: str, rank: int, url: str, signature: str
) -> np.ndarray:
    """One output of an answer: a float or integer array of that rank, not empty, finite in float32.

    Raises:
        WrongAnswer: it is anything else.
    """
    value = answer.get(output, answer.get(""))
    if value is None or value.dtype.kind not in "fiu" or value.ndim != rank or not value.size:
        raise WrongAnswer(f"{url}: {signature} gives no array {output} of numbers.")
    if not (np.abs(value) <= np.finfo(np.float32).max).all():  # NaN included
        raise WrongAnswer(f"{url}: {signature} gives values that are not finite.")
    return value


def checked_size(size: int, url: str) -> int:
    """A length of z as a server tells it.

    Raises:
        ServerError: nobody has such a model.
    """
    if not 0 < size <= MOST_LATENT:
        raise ServerError(f"{url}: tells {size} as the length of z; give --latent_size.")
    return size
