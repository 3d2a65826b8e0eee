"""TFLite files: float32, float16, dynamic-range int8 and full int8, of built-in operators alone."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from litert_quantizer import Quantizer
from litert_quantizer.quantizer import AlgorithmName

from alae_tf.errors import reason

from . import ExportFailed
from .litert import silenced

KERNELS: tuple[Any, Any] = ("CONV_2D", "FULLY_CONNECTED")  # of an enum, which takes its words too
FLOAT_CASTING = AlgorithmName.FLOAT_CASTING


def convert(saved_model: Path, signature: str) -> bytes:
    """One signature of a SavedModel as a TFLite file in float32.

    Args:
        saved_model: directory.
        signature: the one to convert. (Without a name, the converter emits each one twice.)

    Raises:
        ExportFailed: an operator is not among TFLite's built-in ones.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=[signature]
    )
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
    quantizer = Quantizer(model)
    if quantization == "float16":
        for kernel in KERNELS:
            quantizer.add_weight_only_config(".*", kernel, 16, algorithm_key=FLOAT_CASTING)
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
