"""A KServe server, whose v1 endpoint speaks TF Serving's `:predict` rows, over TF 1's loader, or
over ONNX Runtime.

python -m tests.export.rest_server SAVED_MODEL|ENCODER.onnx PORT
"""

import base64
import sys
from pathlib import Path

import numpy as np
from kserve import Model, ModelServer
from kserve.errors import InvalidInput

from export.onnx import ONNX
from export.saved_model import ServedModel


class Alae(Model):
    def __init__(self, path):
        super().__init__("alae")
        self.model, self.ready = ServedModel(path), True

    def predict(self, payload, headers=None, response_headers=None):
        signature = payload.get("signature_name", "serving_default")
        if signature not in self.model.signatures:
            raise InvalidInput(f"no signature {signature!r}")
        definition = self.model.signatures[signature]
        inputs = {}
        try:
            for name, tensor in definition.inputs.items():
                values = [
                    base64.b64decode(row[name]["b64"]) if tensor.dtype == 7 else row[name]
                    for row in payload["instances"]
                ]
                kinds = {1: np.float32, 4: np.uint8, 7: object}
                inputs[name] = np.array(values, kinds[tensor.dtype])
            outputs = self.model.run(signature, **inputs)
        except Exception as error:
            raise InvalidInput(getattr(error, "message", repr(error))) from None
        if len(outputs) == 1:
            return {"predictions": next(iter(outputs.values())).tolist()}
        names = list(outputs)
        rows = zip(*(value.tolist() for value in outputs.values()), strict=True)
        return {"predictions": [dict(zip(names, row, strict=True)) for row in rows]}


class Encoder(Model):
    """The encoder's ONNX file: rows of floats in, w out."""

    def __init__(self, path):
        super().__init__("alae")
        self.model, self.ready = ONNX(path), True

    def predict(self, payload, headers=None, response_headers=None):
        images = np.array([row["images"] for row in payload["instances"]], np.float32)
        return {"predictions": self.model(images).tolist()}


if __name__ == "__main__":
    path = Path(sys.argv[1])
    server = ModelServer(http_port=int(sys.argv[2]), enable_grpc=False, workers=1)
    server.start([Encoder(path) if path.suffix == ".onnx" else Alae(path)])
