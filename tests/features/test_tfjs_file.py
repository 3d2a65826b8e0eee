import json

import numpy as np
import pytest

from alae_tf.features import tfjs_file
from alae_tf.features.tfjs_file import read_tfjs
from alae_tf.features.weights import EvaluationError

FLOATS = {"name": "a", "shape": [2, 1], "dtype": "float32"}
BYTES = {
    "name": "b/c",
    "shape": [3],
    "dtype": "float32",
    "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0},
}
DATA = np.array([1.5, -2.0], "<f4").tobytes() + bytes([0, 2, 255])


@pytest.fixture
def write(tmp_path):
    def files(entries=(FLOATS, BYTES), data=DATA, paths=("model.bin",), groups=1):
        manifest, numbers = tmp_path / "manifest.json", tmp_path / "model.bin"
        manifest.write_text(json.dumps([{"paths": paths, "weights": entries}] * groups))
        numbers.write_bytes(data)
        return manifest, numbers

    return files


def test_values_by_hand(write):
    arrays = read_tfjs(*write())
    assert list(arrays) == ["a", "b/c"]
    assert all(array.dtype == np.float32 for array in arrays.values())
    np.testing.assert_array_equal(arrays["a"], [[1.5], [-2.0]])
    np.testing.assert_array_equal(arrays["b/c"], [-1.0, 0.0, 126.5])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"data": DATA[:-1]}, "model.bin: .*b/c"),
        ({"data": DATA + b"0"}, "model.bin: "),
        ({"data": b""}, "model.bin: .*a"),
        ({"entries": [FLOATS, FLOATS]}, "manifest.json: a "),
        ({"entries": [FLOATS | {"shape": [10**9, 10**9]}]}, "manifest.json: a "),
        ({"entries": [FLOATS | {"shape": [2**14, 2**14]}]}, "model.bin: .*a"),
        ({"entries": [FLOATS | {"shape": [-1, -2]}]}, "manifest.json: a "),
        ({"entries": [FLOATS | {"shape": [0]}]}, "manifest.json: a "),
        ({"entries": [FLOATS | {"shape": [1.5]}]}, "manifest.json: .*shape"),
        ({"entries": [FLOATS | {"dtype": "int32"}]}, "manifest.json: a .*int32"),
        ({"entries": [FLOATS | {"name": None}]}, "manifest.json: .*name"),
        (
            {"entries": [BYTES | {"quantization": {"dtype": "uint16", "scale": 1.0, "min": 0.0}}]},
            "manifest.json: b/c .*uint16",
        ),
        (
            {"entries": [BYTES | {"quantization": {"dtype": "uint8", "min": 0.0}}]},
            "manifest.json: .*scale",
        ),
        (
            {"entries": [BYTES | {"quantization": {"dtype": "uint8", "scale": np.inf, "min": 0}}]},
            "manifest.json: .*scale",
        ),
        ({"paths": ["../model.bin"]}, "manifest.json: .*model.bin"),
        ({"paths": ["model.bin", "more.bin"]}, "manifest.json: .*model.bin"),
        ({"groups": 2}, "manifest.json: .*model.bin"),
        ({"groups": 0}, "manifest.json: .*model.bin"),
    ],
)
def test_damaged_files_are_named(write, given, named):
    with pytest.raises(EvaluationError, match=named) as error:
        read_tfjs(*write(**given))
    assert error.value.exit_code == 2


def test_files_that_cannot_be_read(write, monkeypatch):
    manifest, numbers = write()
    monkeypatch.setattr(tfjs_file, "LARGEST", 10)
    with pytest.raises(EvaluationError, match="model.bin"):
        read_tfjs(manifest, numbers)
    numbers.unlink()
    with pytest.raises(EvaluationError, match="model.bin"):
        read_tfjs(manifest, numbers)
    manifest.write_text("{")
    with pytest.raises(EvaluationError, match="manifest.json"):
        read_tfjs(manifest, numbers)
    manifest.unlink()
    with pytest.raises(EvaluationError, match="manifest.json"):
        read_tfjs(manifest, numbers)
