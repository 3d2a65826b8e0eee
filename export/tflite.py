"""TFLite files: float32, float16, dynamic-range int8 and full int8, of built-in operators alone."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alae_tf.system.errors import reason

from . import ExportFailed, saved_model
from .formats import FLOAT, FLOAT16, File, Format, Options
from .litert import TFLite, images_at_once, silenced

if TYPE_CHECKING:
    from .exporter import Exporter

# How files are quantised, and how their names end.
QUANTIZATIONS = {
    "none": "",
    "float16": "_float16",
    "dynamic_int8": "_dynamic_int8",
    "int8": "_int8",
}
KERNELS: tuple[Any, Any] = ("CONV_2D", "FULLY_CONNECTED")  # of an enum, which takes its words too


def convert(path: Path, signature: str) -> bytes:
    """One signature of a SavedModel as a TFLite file in float32.

    Args:
        path: directory of the SavedModel.
        signature: the one to convert. (Without a name, the converter emits each one twice.)

    Raises:
        ExportFailed: an operator is not among TFLite's built-in ones.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(path), signature_keys=[signature])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]  # no Flex
    try:
        with silenced():
            return converter.convert()
    except Exception as error:  # the converter's own type is not public
        raise ExportFailed(f"TFLite cannot express {signature} ({reason(str(error))})") from None


def quantize(model: bytes, quantization: str, parts: list[np.ndarray], mlp: bool) -> bytes:
    """A float32 TFLite file with smaller kernels.

    Only convolutions and dense layers change, operator by operator. TensorFlow's own converter
    also casts the norms' ε, which is 0 in float16 and gives NaN for a constant channel.

    Args:
        model: a file with one signature of one input.
        quantization: "float16": kernels in float16, computed in float32. "dynamic_int8": kernels
            in int8 with a scale a channel, activations quantised as they come. "int8": activations
            too, with scales from `parts`, in convolutions (an MLP's: dense layers); styles, norms
            and the dense layers between styles and w stay float32, since 8 bits lose the small
            differences that they live on.
        parts: inputs [n, …] to calibrate int8 with; each is run at once, all tensors kept.
        mlp: whether it is an MLP-ALAE.
    """
    from ai_edge_litert.interpreter import Interpreter
    from litert_quantizer import Quantizer
    from litert_quantizer.quantizer import AlgorithmName

    quantizer = Quantizer(model)
    if quantization == "float16":
        for kernel in KERNELS:
            quantizer.add_weight_only_config(
                ".*", kernel, 16, algorithm_key=AlgorithmName.FLOAT_CASTING
            )
    elif quantization == "dynamic_int8":
        for kernel in KERNELS:
            quantizer.add_dynamic_config(".*", kernel, 8)
    else:
        quantizer.add_static_config(".*", KERNELS[mlp], activation_num_bits=8, weight_num_bits=8)
    ranges: Any = None
    with silenced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of LiteRT, that it keeps what is to be looked at
        if quantizer.need_calibration:
            ((signature, details),) = Interpreter(model_content=model).get_signature_list().items()
            (name,) = details["inputs"]
            # The whole range, so one call a part: over the parts of one call a moving average is
            # taken, which clips what few images reach (an MLP-ALAE's w on digits was 0.2
            # of its spread off instead of 0.02).
            found = [quantizer.calibrate({signature: [{name: part}]}) for part in parts]
            ranges = {
                tensor: {
                    "min": np.minimum.reduce([each[tensor]["min"] for each in found]),
                    "max": np.maximum.reduce([each[tensor]["max"] for each in found]),
                }
                for tensor in found[0]
            }
        smaller = quantizer.quantize(ranges).quantized_model
        assert smaller is not None  # as long as no file to write it to is named
        return bytes(smaller)


def file(
    name: str, graph: str, quantization: str, options: Options, batch: int | None = None
) -> File:
    """A TFLite file with what is allowed of it; int8 decoders are only reported."""
    allowed, bound = FLOAT16 if quantization == "float16" else FLOAT, "relative_error"
    if "int8" in quantization:
        allowed = options.max_int8_error if graph.startswith("encoder") else None
        bound = "spread_error"
    return File(f"{name}.tflite", (graph,), batch, allowed, bound, quantization)


def files(options: Options) -> Iterator[File]:
    """Of each network a file for each of --quantize, and a float32 file for one image at a time."""
    for network in options.graphs:
        for kind in options.quantize:
            pixels = (network, kind) == ("encoder", "int8")  # which takes uint8
            graph = "encoder_uint8" if pixels else network
            yield file(f"{network}{QUANTIZATIONS[kind]}", graph, kind, options)
        yield file(f"{network}_batch1", network, "", options, batch=1)


def write(work: Exporter, file: File) -> None:
    """Writes one of them."""
    (graph,) = file.graphs
    model = converted(work, f"{graph}_one" if file.batch else graph)
    if file.quantization not in ("", "none"):
        parts: list[np.ndarray] = []
        if file.quantization == "int8":
            inputs = work.pixels if graph == "encoder_uint8" else work.model.encode(work.pixels)
            step = images_at_once(work.model.resolution)
            parts = [inputs[i : i + step] for i in range(0, len(inputs), step)]
        mlp = work.model.config.architecture == "mlp"
        model = quantize(model, file.quantization, parts, mlp)
    (work.folder / file.name).write_bytes(model)


def converted(work: Exporter, signature: str) -> bytes:
    """A graph as a float32 file, converted once; the converter reads it from a SavedModel."""
    if signature not in work.float32:
        path = work.folder / f"device_{signature}"
        signatures = work.graphs.device_signatures() | work.graphs.single_signatures()
        saved_model.write(work.model.alae, {signature: signatures[signature]}, path)
        work.float32[signature] = convert(path, signature)
        shutil.rmtree(path)
    return work.float32[signature]


FORMAT = Format(
    "tflite",
    "TFLite files for phones and browsers",
    patterns=("*.tflite",),
    files=files,
    write=write,
    runtimes={"LiteRT": TFLite},
    packages=("ai-edge-litert", "litert-quantizer"),
    graphs=lambda graphs: graphs.device_signatures(),
)
