"""TFLite files: float32, float16, dynamic-range int8 and full int8, of built-in operators alone."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from litert_quantizer import Quantizer
from litert_quantizer.algorithm_manager import AlgorithmName
from litert_quantizer.calibrator import Calibrator
from litert_quantizer.qtyping import TFLOperationName
from litert_quantizer.recipe_manager import RecipeManager
from litert_quantizer.utils.qsv_utils import min_max_update

from export import ExportError

SUFFIX = {"none": "", "float16": "_float16", "dynamic_int8": "_dynamic_int8", "int8": "_int8"}
KERNELS = (TFLOperationName.CONV_2D, TFLOperationName.FULLY_CONNECTED)


def convert(saved_model: Path, signature: str) -> bytes:
    """One signature of a SavedModel as a TFLite file in float32.

    Args:
        saved_model: directory.
        signature: the one to convert. (Without a name, the converter emits each one twice.)

    Raises:
        ExportError: an operator is not among TFLite's built-in ones.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=[signature]
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]  # no Flex
    try:
        with quiet():
            return converter.convert()
    except Exception as error:  # the converter's own type is not public
        raise ExportError(f"{signature}: TFLite cannot express it ({error}).") from None


def quantize(model: bytes, quantization: str, batches: list[np.ndarray], mlp: bool) -> bytes:
    """A float32 TFLite file with smaller kernels.

    Only convolutions and dense layers change, operator by operator. TensorFlow's own converter
    also casts the norms' ε, which is 0 in float16 and gives NaN for a constant channel.

    Args:
        model: a file with one signature of one input.
        quantization: "float16": kernels in float16, computed in float32. "dynamic_int8": kernels
            in int8 with a scale a channel, activations quantised as they come. "int8": activations
            too, with scales from `batches`, in convolutions (an MLP's: dense layers); styles,
            norms and the dense layers between styles and w stay float32, since 8 bits lose the
            small differences that they live on.
        batches: inputs [1, …] to calibrate int8 with.
        mlp: whether it is an MLP-ALAE.
    """
    recipe = RecipeManager()
    if quantization == "float16":
        for name in KERNELS:
            recipe.add_weight_only_config(".*", name, 16, algorithm_key=AlgorithmName.FLOAT_CASTING)
    elif quantization == "dynamic_int8":
        for name in KERNELS:
            recipe.add_dynamic_config(".*", name, 8)
    else:
        recipe.add_static_config(".*", KERNELS[mlp], activation_num_bits=8, weight_num_bits=8)
    quantizer = Quantizer(model, recipe.get_quantization_recipe())
    with quiet():
        calibration = None
        if quantizer.need_calibration:
            ((signature, details),) = Interpreter(model_content=model).get_signature_list().items()
            (name,) = details["inputs"]
            # The whole range of the batches. Quantizer.calibrate's moving average clips what few
            # images reach: 0.2 of the spread of w instead of 0.02, for an MLP-ALAE on digits.
            calibrator = Calibrator(model, qsv_update_func=min_max_update)
            calibrator.calibrate({signature: [{name: batch} for batch in batches]}, recipe)
            calibration = calibrator.get_model_qsvs()
        return bytes(quantizer.quantize(calibration).quantized_model)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what converters write to standard output and error from the user's screen."""
    sys.stdout.flush(), sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1), os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os.dup2(kept[0], 1), os.dup2(kept[1], 2)
        os.close(kept[0]), os.close(kept[1])
