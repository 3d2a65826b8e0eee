"""Private interfaces of other packages that this project uses.

Each has a test with the place and the reason of its use; the test fails when a new version of the
package drops the interface.
"""

import inspect
import pickle
import tomllib
from pathlib import Path

import keras
import numpy as np
import pytest

from alae_tf.features import pytorch_file
from alae_tf.model import graphs
from alae_tf.networks.alae import named_afresh
from alae_tf.training.optimizer import LREQAdam
from tests.paths import ROOT


def test_python_has_an_unpickler_in_python():
    """`pickle._Unpickler`, for alae_tf/features/pytorch_file.py: C's trusts declared sizes."""
    assert issubclass(pytorch_file.Unpickler, pickle._Unpickler)
    assert isinstance(pickle._Unpickler.dispatch, dict)
    assert callable(pickle._Unpickler.dispatch[pickle.BUILD[0]])
    for name in ("find_class", "persistent_load", "pop_mark"):
        assert callable(getattr(pickle._Unpickler, name)), name


def test_keras_knows_the_index_of_a_variable():
    """`Optimizer._get_variable_index` and `_trainable_variables`, for alae_tf/training/optimizer:
    finds v and t of a variable as Keras' own optimizers do."""
    variables = [keras.Variable(np.float32(i)) for i in range(3)]
    optimizer = LREQAdam()
    optimizer.build(variables)
    assert [optimizer._get_variable_index(v) for v in variables] == [0, 1, 2]
    assert optimizer._trainable_variables == variables


def test_keras_counts_names_in_its_global_state():
    """`global_state` and its `object_name_uids`, for alae_tf/networks/alae.py: without it, each
    model has new names, and TensorFlow caches a kernel for each name."""
    names = [keras.layers.Dense(1).name for _ in range(2)]
    assert len(set(names)) == 2
    with named_afresh():
        assert keras.layers.Dense(1).name == "dense"
    assert keras.layers.Dense(1).name not in (*names, "dense")


def test_tensorflow_lists_the_gradients_of_graphs():
    """`gradient_registry`, for alae_tf/model/graphs.py: custom gradients keep graphs alive."""
    graphs.gradient_registry._registry["alae_tf"] = None
    assert "alae_tf" in graphs.gradient_registry.list()
    graphs._forget({"alae_tf"})
    assert "alae_tf" not in graphs.gradient_registry.list()


def test_tfds_has_a_number_of_retries():
    """`downloader.MAX_RETRIES`, for alae_tf/data/tfds_source.py: without a network, TFDS would
    retry for minutes, and it has no public setting."""
    from tensorflow_datasets.core.download import downloader

    assert downloader.MAX_RETRIES == 10


def test_litert_lists_its_operators():
    """`Interpreter._get_ops_details`, for export/litert.py: operators that a delegate runs."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="extra `export`")
    assert list(inspect.signature(interpreter.Interpreter._get_ops_details).parameters) == ["self"]


def test_tf2onnx_still_uses_a_function_that_numpy_has_dropped():
    """`np.product`, for export/onnx.py. If this fails, delete the patch."""
    tf2onnx = pytest.importorskip("tf2onnx", reason="extra `export`")
    assert not hasattr(np, "product")
    assert any(
        "np.product(" in path.read_text() for path in Path(tf2onnx.__path__[0]).rglob("*.py")
    )


def test_tf2onnx_returns_large_weights_separately():
    """`ExternalTensorStorage.name_to_tensor_data`, for export/onnx.py."""
    pytest.importorskip("tf2onnx", reason="extra `export`")
    from tf2onnx.convert import from_function
    from tf2onnx.graph import ExternalTensorStorage

    assert "large_model" in inspect.signature(from_function).parameters
    assert ExternalTensorStorage().name_to_tensor_data == {}


def test_the_quantizer_knows_operators_by_their_names():
    """Strings for `qtyping.TFLOperationName`, and min and max by tensor as the result of
    `calibrate`, for export/tflite.py; test_tflite.py runs them."""
    litert_quantizer = pytest.importorskip("litert_quantizer", reason="extra `export`")
    from export import tflite

    assert {"CONV_2D", "FULLY_CONNECTED"} == set(tflite.KERNELS)
    names = set(litert_quantizer.qtyping.TFLOperationName)
    assert names.issuperset(tflite.KERNELS)  # an enum of strings


@pytest.mark.parametrize("package", ["tf2onnx", "ai-edge-litert", "litert-quantizer", "keras"])
def test_their_versions_are_bounded(package):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    lines = [*extras["export"], *(ROOT / "requirements.txt").read_text().splitlines()]
    (bounds,) = [line for line in lines if line.startswith(f"{package}>")]
    assert ",<" in bounds
