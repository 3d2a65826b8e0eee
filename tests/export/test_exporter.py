import errno
from types import SimpleNamespace

import pytest

pytest.importorskip("litert_quantizer", reason="extra `export`")

from export import ExportFailed  # noqa: E402
from export.exporter import Exporter, flag  # noqa: E402


def test_the_flag_that_does_without_a_value():
    assert flag("quantize", ["none", "float16", "int8"], "int8") == "--quantize=none,float16"
    assert flag("graphs", ["decoder"], "decoder") == ""


@pytest.fixture
def exporter(tmp_path):
    exporter = object.__new__(Exporter)
    exporter.folder, exporter.rows, exporter.files, exporter.left_out = tmp_path, [], [], []
    return exporter


def test_what_holds_is_kept_and_what_does_not_goes(exporter):
    def written(name, **row):
        (exporter.folder / name).write_bytes(b"x")
        return [SimpleNamespace(**row)]

    exporter.attempt("a.onnx", lambda: written("a.onnx", holds=True), "")
    far = dict(holds=False, fault="w is 0.2 off")
    exporter.attempt("b.tflite", lambda: written("b.tflite", **far), "--quantize=none")
    assert exporter.files == ["a.onnx"]
    assert [path.name for path in exporter.folder.iterdir()] == ["a.onnx"]
    assert exporter.left_out == [
        "b.tflite: left out: w is 0.2 off. To do without it: --quantize=none."
    ]


def test_a_converter_that_fails_leaves_the_others(exporter):
    def fails():
        raise ExportFailed("encoder: TFLite cannot express it")

    exporter.attempt("encoder.tflite", fails, "")
    assert exporter.left_out == ["encoder.tflite: left out: encoder: TFLite cannot express it."]
    assert exporter.files == []


def test_a_converter_that_breaks_leaves_the_others_and_a_full_disk_does_not(exporter):
    def breaks():
        raise ValueError("Tensor data is null.\nat line 7")

    exporter.attempt("decoder_int8.tflite", breaks, "--quantize=none")
    assert exporter.left_out == [
        "decoder_int8.tflite: left out: ValueError: Tensor data is null. "
        "To do without it: --quantize=none."
    ]

    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError):
        exporter.attempt("decoder.tflite", full, "")
