"""Runs TFLite files with LiteRT, without TensorFlow."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

PIXELS = 2**17  # in a batch, which limits the memory: 8 images of 128 px
MOST = 64  # images in a batch; more are not faster


def images_at_once(side: int) -> int:
    """The batch size for images of a side in pixels."""
    return min(MOST, max(1, PIXELS // side**2))


class TFLite:
    """A TFLite file, by its path or its bytes, run by LiteRT with its XNNPACK delegate.

    Call: array [N, …] of the input type → the first output. Raises ValueError, RuntimeError,
    OSError or TypeError if the file is damaged or has several inputs.
    """

    def __init__(self, model: Path | bytes, threads: int = 2):
        from ai_edge_litert.interpreter import Interpreter

        path, content = (None, model) if isinstance(model, bytes) else (str(model), None)
        with silenced():  # it logs that it creates its delegate
            self.interpreter = Interpreter(path, model_content=content, num_threads=threads)
            self.interpreter.allocate_tensors()
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

    def run(self, graph: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The output of the only graph, by name."""
        (x,) = inputs.values()
        (names,) = self.interpreter.get_signature_list().values()
        return {names["outputs"][0]: self(x)}

    def delegated(self) -> float:
        """The share of operators that the delegate runs; known after the first call."""
        nodes = self.interpreter._get_ops_details()  # private; nothing public shows the share
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


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Discards what C++ code writes to standard output and error."""
    kept = {}
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        stream.flush()
        kept[number] = os.dup(number)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        for number in kept:
            os.dup2(nowhere.fileno(), number)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, screen in kept.items():
            os.dup2(screen, number)
            os.close(screen)
