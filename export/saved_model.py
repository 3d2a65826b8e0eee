"""SavedModel directories, written by Keras' ExportArchive and run by TensorFlow or TF Serving."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import serving
from .formats import File, Format, Options

if TYPE_CHECKING:
    import keras

    from .exporter import Exporter
    from .graphs import Endpoint

NAME = "saved_model"
SIGNATURES = (
    *("encode", "encode_uint8", "encode_bytes", "encode_styles", "encode_styles_bytes"),
    *("decode", "reconstruct", "generate"),
)
WARM_UP = "assets.extra/tf_serving_warmup_requests"


def write(model: keras.Model, signatures: dict[str, Endpoint], path: Path) -> None:
    """Writes a SavedModel into a new directory; `model` owns the variables of the signatures."""
    import keras

    archive: Any = keras.export.ExportArchive()  # a class of the backend, which is TensorFlow
    archive.track(model)
    for name, (function, inputs) in signatures.items():
        plain = functools.partial(function)  # ExportArchive accepts no bound methods
        archive.add_endpoint(name, plain, input_signature=inputs)
    archive.write_out(str(path), verbose=False)


class SavedModel:
    """A SavedModel, loaded by TensorFlow 2. `threads` is ignored: they are set per process."""

    def __init__(self, path: Path, threads: int = 2):
        import tensorflow as tf

        self.loaded = tf.saved_model.load(str(path))

    def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of a signature, by name."""
        import tensorflow as tf

        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = self.loaded.signatures[signature](**tensors)
        return {name: value.numpy() for name, value in outputs.items()}


class ServedModel:
    """A SavedModel, run like in TF Serving: by TensorFlow 1's loader and a session."""

    def __init__(self, path: Path, threads: int = 2):
        import tensorflow as tf

        with tf.Graph().as_default() as graph:
            self.session = tf.compat.v1.Session(graph=graph)
            loaded = tf.compat.v1.saved_model.loader.load(self.session, ["serve"], str(path))
        self.signatures = loaded.signature_def

    def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of a signature, by name."""
        definition = self.signatures[signature]
        feed = {definition.inputs[name].name: value for name, value in inputs.items()}
        fetch = {name: tensor.name for name, tensor in definition.outputs.items()}
        return self.session.run(fetch, feed)


def files(options: Options) -> list[File]:
    """A new version of the SavedModel, and TF Serving's configuration."""
    part = File(f"{NAME}/{options.version}", SIGNATURES)
    return [File(NAME, parts=(part,), beside=("serving",))]


def write_version(work: Exporter, file: File) -> None:
    """Writes the SavedModel, TF Serving's configuration, and requests that it runs at first."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    path = work.folder / file.parts[0].name
    path.parent.mkdir()
    write(work.model.alae, work.graphs.signatures(), path)
    (path / WARM_UP).parent.mkdir()
    with tf.io.TFRecordWriter(str(path / WARM_UP)) as writer:
        for signature in SIGNATURES:
            record = prediction_log_pb2.PredictionLog()
            request = record.predict_log.request
            request.model_spec.name = serving.MODEL_NAME
            request.model_spec.signature_name = signature
            for name, value in work.reference.cases[signature][0].inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value[:1]))
            writer.write(record.SerializeToString())
    (work.folder / "serving").mkdir()
    for name, text in serving.FILES.items():
        (work.folder / "serving" / name).write_text(text, encoding="utf-8")


FORMAT = Format(
    NAME,
    "a SavedModel for TensorFlow and TF Serving",
    patterns=(f"{NAME}/*", "serving/*"),
    files=files,
    write=write_version,
    runtimes={"TF 2": SavedModel, "TF 1 loader": ServedModel},
    packages=("tensorflow-serving-api",),
    graphs=lambda graphs: graphs.signatures(),
    lasting=True,
)
