"""TF Serving's PredictionService, of its own protos, over TensorFlow 1's loader.

python -m tests.export.grpc_server SAVED_MODEL [PORT]; prints its port. Stands in for the binary
in tests.
"""

import sys
from concurrent import futures
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from export.saved_model import ServedModel


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, path):
        self.model, self.calls = ServedModel(path), 0

    def Predict(self, request, context):
        self.calls += 1
        if self.calls == 1:  # as while a model loads; the client tries again
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        signature = request.model_spec.signature_name
        if request.model_spec.name != "alae":
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found: {request.model_spec}")
        if signature not in self.model.signatures:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no signature {signature!r}")
        try:
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            outputs = self.model.run(signature, **inputs)
        except Exception as error:
            message = getattr(error, "message", repr(error))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
        answer = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer

    def GetModelMetadata(self, request, context):
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in self.model.signatures.items():
            signatures.signature_def[name].CopyFrom(definition)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.metadata["signature_def"].Pack(signatures)
        return answer


def serve(path, port=0):
    """Starts a server on a port of 127.0.0.1, or on a free one: (server, port)."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(path), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port


if __name__ == "__main__":
    server, port = serve(Path(sys.argv[1]), int((sys.argv[2:] or ["0"])[0]))
    print(port, flush=True)
    server.wait_for_termination()
