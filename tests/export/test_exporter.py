import dataclasses
import errno
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("litert_quantizer", reason="extra `export`")

from export import ExportFailed, parity, publish, registry
from export.exporter import Exporter, flag
from export.formats import File, Format, Options


def test_the_flag_that_does_without_a_value():
    assert flag("quantize", ["none", "float16", "int8"], "int8") == "--quantize=none,float16"
    assert flag("graphs", ["decoder"], "decoder") == ""
    assert flag("graphs", ["decoder", "encoder"], "mapping") == ""


def test_records_fit_together():
    options = Options(run_dir=Path("run"), quantize=["none", "int8"])
    files = [(each, file) for each in registry.FORMATS for file in each.files(options)]
    names = [name for _, file in files for name in file.names]
    assert len(set(names)) == len(names)
    for format_, file in files:
        for part in file.parts or (file,):
            assert format_ in registry.found([part.name])
            assert part.graphs


@pytest.fixture
def exporter(tmp_path):
    exporter = object.__new__(Exporter)
    exporter.folder, exporter.options, exporter.reference = tmp_path, Options(), None
    exporter.rows, exporter.files, exporter.left_out = [], [], []
    return exporter


@pytest.fixture
def attempt(exporter, monkeypatch):
    """Lets an exporter attempt a file with a writer and the row that its comparison gives."""

    def attempt(name, row=None, write=None, **fields):
        def write_text(work, file):
            for each in file.names:
                (work.folder / each).write_text("x")

        monkeypatch.setattr(parity, "check", lambda *arguments: [SimpleNamespace(**(row or {}))])
        format_ = Format("toy", "", (), lambda options: [], write or write_text, {})
        exporter.attempt(format_, File(name, **fields))

    return attempt


def test_rejected_files_are_deleted(exporter, attempt):
    exporter.options = Options(quantize=["none", "int8"])
    attempt("a.onnx", dict(holds=True), beside=("a.txt",))
    far = dict(holds=False, fault="w is off")
    attempt("b.tflite", far, quantization="int8", beside=("b.txt",))
    assert [file.name for _, file in exporter.files] == ["a.onnx"]
    assert sorted(path.name for path in exporter.folder.iterdir()) == ["a.onnx", "a.txt"]
    (message,) = exporter.left_out
    assert message.startswith("b.tflite:") and "w is off" in message
    assert "--quantize=none." in message


@pytest.mark.parametrize("error", [ExportFailed("not that"), ValueError("not that\nat line 7")])
def test_a_converter_that_fails_leaves_the_others(exporter, attempt, error):
    def fails(work, file):
        raise error

    exporter.options = Options(formats=["onnx", "toy"])
    attempt("decoder.toy", write=fails, graphs=("decoder",))
    (message,) = exporter.left_out
    assert message.startswith("decoder.toy:") and "not that" in message
    assert "--graphs=encoder." in message
    attempt("all", write=fails)
    assert "--formats=onnx." in exporter.left_out[1]
    assert exporter.files == []


def test_a_full_disk_ends_the_work(attempt):
    def full(work, file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError):
        attempt("decoder.tflite", write=full)


def test_sizes_of_the_parts_that_are_tried():
    for batch, expected in ((None, [1, 3, 3, 1]), (3, [3, 3, 3]), (10, [10])):
        sizes = []

        def run(x, y, sizes=sizes):
            sizes.append(len(x))
            return x + y

        x = np.arange(8)
        np.testing.assert_array_equal(parity.in_parts(run, [x, x], batch), 2 * x)
        assert sizes == expected


@pytest.mark.parametrize(
    ("relative", "spread", "bound", "holds"),
    [
        (1e-5, 1.0, "relative_error", True),
        (1.0, 1e-5, "relative_error", False),
        (1.0, 1e-5, "spread_error", True),
        (1e-5, 1.0, "spread_error", False),
        (float("nan"), 0.0, "relative_error", False),
    ],
)
def test_the_error_that_is_bounded(relative, spread, bound, holds):
    row = parity.Row("f", "r", "g", "w", 1.0, relative, spread, 1e-4, 1.0, 1, bound=bound)
    assert row.holds == holds
    assert ("--max_int8_error" in row.fault) == (bound == "spread_error")
    row = dataclasses.replace(row, graph="decoder_styles", codes="F(z)")
    assert ("--max_int8_decoder_error" in row.fault) == (bound == "spread_error")
    assert "F(z)" in row.fault


def test_errors_that_json_cannot_hold(exporter, monkeypatch):
    nan, pixels = float("nan"), np.zeros([2, 2, 1], np.uint8)
    exporter.rows = [parity.Row("a", "r", "g", "w", float("inf"), nan, 0.5, 1e-4, 1.0, 1)]
    exporter.files, exporter.model, exporter.graphs = [(None, File("b"))], None, None
    monkeypatch.setattr(parity, "picture", lambda *arguments: pixels)
    monkeypatch.setattr(publish, "manifest", lambda *arguments: {})
    exporter.finish(None)
    (row,) = json.loads((exporter.folder / "parity.json").read_text())
    assert (row["max_error"], row["relative_error"], row["spread_error"]) == (None, None, 0.5)
    assert row["holds"] is False


def test_a_format_that_nothing_runs_has_no_part_in_comparison_and_picture(tmp_path):
    images = np.zeros([4, 64, 64, 1])
    reference = SimpleNamespace(pixels=images.astype(np.uint8), decoded=images)
    format_ = Format("toy", "", (), lambda options: [], lambda work, file: None, runtimes={})
    files = [File(f"{network}.toy", (network,)) for network in ("encoder", "decoder")]
    assert list(parity.check(format_, files[0], tmp_path, reference)) == []  # pyright: ignore
    picture = parity.picture(tmp_path, [(format_, file) for file in files], reference)  # pyright: ignore
    assert picture.shape == (66, 12 * 66, 1)  # a row for 8 images in all
