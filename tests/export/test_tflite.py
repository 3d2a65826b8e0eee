"""Quantised TFLite files of one dense layer."""

import numpy as np
import pytest

pytest.importorskip("litert_quantizer", reason="extra `export`")

import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from export import tflite

WEIGHTS = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """A TFLite file that multiplies x [1, 8] by WEIGHTS."""
    path = tmp_path_factory.mktemp("dense")
    module = tf.Module()
    module.weights = tf.Variable(WEIGHTS)
    spec = tf.TensorSpec([None, 8], tf.float32, "x")
    function = tf.function(lambda x: {"y": x @ module.weights}, input_signature=[spec])
    tf.saved_model.save(module, str(path), signatures={"multiply": function})
    return tflite.convert(path, "multiply")


def run(model, x):
    return Interpreter(model_content=model).get_signature_runner("multiply")(x=x)["y"]


def inputs():
    """Fifty inputs of about ±1 and, in their midst, one ten times as large."""
    x = np.random.default_rng(1).standard_normal((50, 1, 8)).astype(np.float32)
    x[20] *= 10
    return x[:, 0]


def test_int8_keeps_the_range_of_every_calibration_image(dense):
    model = tflite.quantize(dense, "int8", np.split(inputs(), 5), int8="FULLY_CONNECTED")
    x = inputs()[20:21]
    expected = x @ WEIGHTS
    np.testing.assert_allclose(run(model, x), expected, atol=0.03 * np.abs(expected).max())


def test_int8_averages_the_ranges_of_groups(dense):
    """One of five groups holds the rare value, which is clipped, and the others are finer."""
    parts, x = np.split(inputs(), 5), inputs()
    whole, averaged = (
        run(tflite.quantize(dense, "int8", parts, int8="FULLY_CONNECTED", group=group), x)
        for group in (None, 10)
    )
    rare = np.arange(50) == 20
    errors = [np.abs(each - x @ WEIGHTS).mean(axis=1) for each in (whole, averaged)]
    assert errors[1][~rare].mean() < 0.6 * errors[0][~rare].mean()
    assert errors[1][rare] > 5 * errors[0][rare]


@pytest.mark.parametrize(("quantization", "tolerance"), [("float16", 2e-3), ("dynamic_int8", 3e-2)])
def test_the_other_kinds_need_no_images(dense, quantization, tolerance):
    model = tflite.quantize(dense, quantization, [], int8="FULLY_CONNECTED")
    x = inputs()[:1]
    expected = x @ WEIGHTS
    np.testing.assert_allclose(run(model, x), expected, atol=tolerance * np.abs(expected).max())
    assert not np.array_equal(run(model, x), run(dense, x))
