"""The programs that run exported files, each behind the same call: array in, array out.

Each runs on the CPU and takes arrays [N, …] of any N.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]


class TFLite:
    """LiteRT with its XNNPACK delegate.

    Args:
        model: path of a .tflite file, or its bytes.
        threads: CPU threads.

    Call:
        array [N, …] of the file's input type → its first output.
    """

    def __init__(self, model: Path | bytes, threads: int = 2):
        from ai_edge_litert.interpreter import Interpreter

        source = (
            {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
        )
        self.interpreter = Interpreter(num_threads=threads, **source)
        (self.input,) = self.interpreter.get_input_details()
        self.output = self.interpreter.get_output_details()[0]
        self.shape = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if x.shape != self.shape:
            self.interpreter.resize_tensor_input(self.input["index"], x.shape)
            self.interpreter.allocate_tensors()
            self.shape = x.shape
        self.interpreter.set_tensor(self.input["index"], x)
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output["index"])

    def delegated(self) -> float:
        """Share of the file's operators that the delegate took over, after the first call."""
        nodes = self.interpreter._get_ops_details()
        delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
        nodes = [node for node in nodes if node["op_name"] != "DELEGATE"]
        producer = {tensor: node for node in nodes for tensor in node["outputs"]}
        taken = set()
        for delegate in delegates:
            known, wanted = set(delegate["inputs"]), list(delegate["outputs"])
            while wanted:
                tensor = wanted.pop()
                node = producer.get(tensor)
                if tensor not in known and node is not None:
                    taken.add(node["index"])
                    wanted += list(node["inputs"])
                known.add(tensor)
        return len(taken) / len(nodes)


class ONNX:
    """ONNX Runtime.

    Args:
        model: path of an .onnx file.
        threads: CPU threads.

    Call:
        array [N, …] → the file's first output.
    """

    def __init__(self, model: Path, threads: int = 2):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self.input = self.session.get_inputs()[0].name

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(None, {self.input: x})[0]


class SavedModel:
    """A SavedModel loaded as TensorFlow 2 does.

    Args:
        path: its directory.

    `run(signature, **inputs)` → outputs by name, as arrays.
    """

    def __init__(self, path: Path):
        import tensorflow as tf

        self.loaded = tf.saved_model.load(str(path))

    def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        import tensorflow as tf

        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = self.loaded.signatures[signature](**tensors)
        return {name: value.numpy() for name, value in outputs.items()}


class ServedModel:
    """A SavedModel loaded and run as TF Serving does: TensorFlow 1's loader and a session.

    Args:
        path: its directory.

    Attributes:
        signatures: signature definitions by name.
    """

    def __init__(self, path: Path):
        import tensorflow as tf

        with tf.Graph().as_default() as graph:
            self.session = tf.compat.v1.Session(graph=graph)
            loaded = tf.compat.v1.saved_model.loader.load(self.session, ["serve"], str(path))
        self.signatures = {
            name: definition
            for name, definition in loaded.signature_def.items()
            if not name.startswith("_")
        }

    def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name, as arrays."""
        definition = self.signatures[signature]
        feed = {definition.inputs[name].name: value for name, value in inputs.items()}
        fetch = {name: tensor.name for name, tensor in definition.outputs.items()}
        return self.session.run(fetch, feed)
