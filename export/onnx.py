"""ONNX files, written by tf2onnx and run by ONNX Runtime."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np

from alae_tf.system.errors import reason

from . import ExportFailed
from .formats import File, Format

if TYPE_CHECKING:
    from .exporter import Exporter
    from .graphs import Endpoint

OPSET = 18  # the newest that tf2onnx 1.17 writes


def convert(endpoint: Endpoint) -> bytes:
    """Converts a function from one tensor to a dict of one tensor; raises ExportFailed. The ONNX
    model keeps the names of both tensors, and its batch dimension is named `batch`."""
    import onnx
    import tensorflow as tf
    import tf2onnx

    function, (spec,) = endpoint
    for name in ("tf2onnx", "tf2onnx.tfonnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # "large" keeps the weights out of the graph, which some fifty passes copy.
    # NumPy 2 lacks `product`, which tf2onnx 1.17 calls.
    with mock.patch.object(np, "product", np.prod, create=True):
        try:
            model, weights = tf2onnx.convert.from_function(
                tf.function(function), [spec], opset=OPSET, large_model=True
            )
        except Exception as error:  # tf2onnx raises errors of any type
            raise ExportFailed(f"tf2onnx cannot convert it ({reason(str(error))})") from None
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    constants = [attribute.t for attribute in attributes if attribute.HasField("t")]
    for tensor in (*model.graph.initializer, *constants):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            (location,) = [e.value for e in tensor.external_data if e.key == "location"]
            tensor.raw_data = weights.name_to_tensor_data[location]
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
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


class ONNX:
    """An ONNX file, run by ONNX Runtime on the CPU: array [N, …] → the first output."""

    def __init__(self, model: Path, threads: int = 2):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        cpu = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(str(model), options, providers=cpu)
        self.input = self.session.get_inputs()[0].name

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.session.run(None, {self.input: x})[0])

    def run(self, graph: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The output of the only graph, by name."""
        (x,) = inputs.values()
        return {self.session.get_outputs()[0].name: self(x)}


def write(work: Exporter, file: File) -> None:
    """Writes encoder.onnx or decoder.onnx."""
    (graph,) = file.graphs
    (work.folder / file.name).write_bytes(convert(work.graphs.device_signatures()[graph]))


FORMAT = Format(
    "onnx",
    "encoder.onnx and decoder.onnx",
    patterns=("*.onnx",),
    files=lambda options: [File(f"{graph}.onnx", (graph,)) for graph in options.graphs],
    write=write,
    runtimes={"ONNX Runtime": ONNX},
    packages=("tf2onnx", "onnx", "onnxruntime"),
    graphs=lambda graphs: graphs.device_signatures(),
)
