"""SavedModel directories, by Keras' ExportArchive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .graphs import Endpoint

WARM_UP = "assets.extra/tf_serving_warmup_requests"


def write(model: keras.Model, signatures: dict[str, Endpoint], path: Path) -> None:
    """Writes a SavedModel with the given signatures.

    Args:
        model: whose variables the signatures use.
        signatures: (function returning a dict of tensors, its inputs) by name.
        path: directory, which must not exist.
    """
    archive: Any = keras.export.ExportArchive()  # a class of the backend, which is TensorFlow
    archive.track(model)
    for name, (function, inputs) in signatures.items():
        archive.add_endpoint(name, _plain(function, len(inputs)), input_signature=inputs)
    archive.write_out(str(path), verbose=False)


def _plain(function, inputs: int):
    """ExportArchive takes no bound methods."""
    return (lambda a: function(a)) if inputs == 1 else (lambda a, b: function(a, b))


def write_warm_up(path: Path, requests: dict[str, dict[str, np.ndarray]], model_name: str) -> None:
    """Adds the requests that TF Serving runs through a model before it takes the first real one.

    Args:
        path: SavedModel directory.
        requests: inputs by signature.
        model_name: as in models.config.
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    (path / WARM_UP).parent.mkdir()
    with tf.io.TFRecordWriter(str(path / WARM_UP)) as writer:
        for signature, inputs in requests.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            record = prediction_log_pb2.PredictionLog(predict_log=log)
            writer.write(record.SerializeToString())
