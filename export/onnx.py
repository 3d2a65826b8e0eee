"""ONNX files, by tf2onnx."""

from __future__ import annotations

import logging

import onnx
import tensorflow as tf
import tf2onnx

from export.graphs import Endpoint

OPSET = 18  # the newest that tf2onnx 1.17 writes


def convert(endpoint: Endpoint) -> bytes:
    """An endpoint as an ONNX model, its batch dimension named `batch`, checked by onnx.

    Args:
        endpoint: function of one tensor that returns a dict of one tensor; the names of both
            become those of the model's input and output.
    """
    function, (spec,) = endpoint
    for name in ("tf2onnx", "tf2onnx.tfonnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    model, _ = tf2onnx.convert.from_function(tf.function(function), [spec], opset=OPSET)
    (name,) = function(tf.zeros([1, *spec.shape[1:]], spec.dtype))
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = [name if n == output.name else n for n in node.output]
        node.input[:] = [name if n == output.name else n for n in node.input]
    output.name = name
    for value in (*model.graph.input, output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()
