"""TFLite files of built-in operators: float32, float16, dynamic-range int8 and full int8."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alae_tf.system.errors import reason

from . import ExportFailed, calibration, saved_model
from .formats import FLOAT, FLOAT16, File, Format, Options
from .litert import TFLite, images_at_once, silenced

if TYPE_CHECKING:
    from .exporter import Exporter

# Values of --quantize → suffixes of file names.
QUANTIZATIONS = {"none": ""} | {kind: f"_{kind}" for kind in ("float16", "dynamic_int8", "int8")}
# Number of codes in a group, see `quantize`, for int8 decoders. Clipping rare values harms an image
# less than coarser steps; docs/measurements/export.md has figures.
GROUP = 64
KERNELS = ("CONV_2D", "FULLY_CONNECTED")  # values of an enum


def convert(path: Path, signature: str) -> bytes:
    """Converts one signature of a SavedModel directory to a float32 TFLite file.

    Raises ExportFailed if TFLite has no built-in operator for part of it.
    """
    import tensorflow as tf

    # Without signature_keys the converter emits every signature twice.
    converter = tf.lite.TFLiteConverter.from_saved_model(str(path), signature_keys=[signature])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]  # no Flex
    try:
        with silenced():
            return converter.convert()
    except Exception as error:  # its type is not public
        raise ExportFailed(f"TFLite cannot represent {signature} ({reason(str(error))})") from None


def quantize(
    model: bytes, quantization: str, parts: list[np.ndarray], int8: str, group: int | None = None
) -> bytes:
    """Quantises the convolutions and dense layers of a float32 TFLite file. (TensorFlow's own
    converter also casts the ε of norms to 0 in float16, which gives NaN for a constant channel.)

    Args:
        model: a file with one signature of one input.
        quantization: "float16": kernels in float16, computed in float32. "dynamic_int8": kernels
            in int8 with a scale for each channel; activations are quantised at run time. "int8":
            also activations, with scales from `parts`, but only in the operator `int8`. Styles,
            norms and the dense layers between styles and w stay float32, since they depend on
            differences that 8 bits lose.
        parts: inputs [n, …] to calibrate int8 with. All tensors of a part are in memory at once.
        int8: see `alae_tf.config.architecture.Architecture`.
        group: approximate number of inputs in a group. The scales of int8 cover the range of a
            group, averaged over all groups. None: the range of all inputs.
    """
    from ai_edge_litert.interpreter import Interpreter
    from litert_quantizer import Quantizer
    from litert_quantizer.quantizer import AlgorithmName

    quantizer: Any = Quantizer(model)
    if quantization == "int8":
        quantizer.add_static_config(".*", int8, activation_num_bits=8, weight_num_bits=8)
    else:
        for kernel in KERNELS:
            if quantization == "float16":
                casting = AlgorithmName.FLOAT_CASTING
                quantizer.add_weight_only_config(".*", kernel, 16, algorithm_key=casting)
            else:
                quantizer.add_dynamic_config(".*", kernel, 8)
    ranges: Any = None
    with silenced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LiteRT warns that it preserves tensors
        if quantizer.need_calibration:
            ((signature, details),) = Interpreter(model_content=model).get_signature_list().items()
            (name,) = details["inputs"]
            # One call for each part, to keep the whole range. Within a call the ranges are moving
            # averages, which clip rare values: w of an MLP-ALAE on digits was off by 0.2 of its
            # spread instead of 0.02.
            found = [quantizer.calibrate({signature: [{name: part}]}) for part in parts]
            count = max(1, round(sum(map(len, parts)) / group)) if group else 1
            groups = np.array_split(np.arange(len(found)), min(count, len(found)))
            extremes = {"min": np.minimum.reduce, "max": np.maximum.reduce}

            def mean(tensor: str, side: str) -> np.ndarray:
                of_groups = [[found[i][tensor][side] for i in each] for each in groups]
                return np.mean([extremes[side](each) for each in of_groups], axis=0)

            ranges = {name: {side: mean(name, side) for side in extremes} for name in found[0]}
        smaller = quantizer.quantize(ranges).quantized_model
        assert smaller is not None  # since no output path is given
        return bytes(smaller)


def file(
    name: str, graph: str, quantization: str, options: Options, batch: int | None = None
) -> File:
    """Describes a TFLite file and its allowed error."""
    allowed, bound = FLOAT16 if quantization == "float16" else FLOAT, "relative_error"
    if "int8" in quantization:
        is_encoder = graph.startswith("encoder")
        allowed = options.max_int8_error if is_encoder else options.max_int8_decoder_error
        bound = "spread_error"
    return File(f"{name}.tflite", (graph,), batch, allowed, bound, quantization)


def files(options: Options) -> Iterator[File]:
    """For each network a file per value of --quantize, and a float32 file for single images."""
    for network in options.graphs:
        for kind in options.quantize:
            uint8 = kind == "int8" and network.startswith("encoder")
            graph = f"{network}_uint8" if uint8 else network
            yield file(f"{network}{QUANTIZATIONS[kind]}", graph, kind, options)
        yield file(f"{network}_batch1", network, "", options, batch=1)


def write(work: Exporter, file: File) -> None:
    """Writes one file."""
    (graph,) = file.graphs
    model = converted(work, graph, file.batch)
    if file.quantization not in ("", "none"):
        inputs, group = work.pixels, None
        if file.quantization == "int8" and not graph.endswith("_uint8"):
            layers, group = graph == "decoder_styles", GROUP
            inputs = calibration.codes(work.model, inputs, work.directions, layers)
        step = images_at_once(work.model.resolution)
        parts = [inputs[i : i + step] for i in range(0, len(inputs), step)]
        model = quantize(model, file.quantization, parts, work.model.config.kind.int8, group)
    (work.folder / file.name).write_bytes(model)


def converted(work: Exporter, graph: str, batch: int | None = None) -> bytes:
    """A graph as a float32 file, converted through a SavedModel at its first use."""
    signature = f"{graph}_one" if batch else graph
    if signature not in work.float32:
        path = work.folder / f"device_{signature}"
        endpoint = work.graphs.device_signatures(batch)[graph]
        saved_model.write(work.model.alae, {signature: endpoint}, path)
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
