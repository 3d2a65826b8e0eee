"""The programs that run exported files, each behind the same call: array in, array out.

Each runs on the CPU and takes arrays [N, …] of any N. TFLite's stands in `litert`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf


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
        return np.asarray(self.session.run(None, {self.input: x})[0])


class SavedModel:
    """A SavedModel loaded as TensorFlow 2 does.

    Args:
        path: its directory.

    `run(signature, **inputs)` → outputs by name, as arrays.
    """

    def __init__(self, path: Path):
        self.loaded = tf.saved_model.load(str(path))

    def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
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
