"""The errors that int8 files may have, and what calibrates them."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("litert_quantizer", reason="extra `export`")
pytest.importorskip("tf2onnx", reason="extra `export`")
pytest.importorskip("tensorflow_serving", reason="extra `serving`")

from alae_tf.latents import directions
from alae_tf.latents.directions import Direction
from export import __main__


@pytest.mark.slow
def test_an_int8_encoder_that_is_too_far_off_is_refused(style_run, tmp_path, capsys):
    arguments = [f"--run_dir={style_run}", f"--out={tmp_path}/out", "--formats=tflite"]
    code = __main__.main([*arguments, "--quantize=none,int8", "--max_int8_error=0.0001"])
    assert code == 1
    (message,) = capsys.readouterr().err.splitlines()[-1:]
    assert message.startswith("export: encoder_int8.tflite:")
    for flag in ("--max_int8_error", "--quantize=none", "--graphs=decoder"):
        assert flag in message
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "encoder_int8.tflite" not in names
    assert "encoder.tflite" in names


@pytest.mark.slow
def test_an_int8_decoder_that_is_too_far_off_is_refused(style_run, tmp_path, capsys):
    arguments = [f"--run_dir={style_run}", f"--out={tmp_path}/out", "--formats=tflite"]
    arguments += ["--graphs=decoder,decoder_styles", "--quantize=none,int8"]
    assert __main__.main([*arguments, "--max_int8_decoder_error=0.0001"]) == 1
    messages = capsys.readouterr().err.splitlines()[-2:]
    for message, name in zip(messages, ("decoder", "decoder_styles"), strict=True):
        assert message.startswith(f"export: {name}_int8.tflite:")
        for part in ("E(x)", "0.0001", "--max_int8_decoder_error", "--quantize=none"):
            assert part in message
    rows = json.loads((tmp_path / "out/parity.json").read_text())
    refused = [row["codes"] for row in rows if row["file"] == "decoder_int8.tflite"]
    assert refused == ["E(x)", "F(z)", "edited"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"decoder.tflite", "decoder_styles.tflite"} <= names
    assert not {"decoder_int8.tflite", "decoder_styles_int8.tflite"} & names


def test_directions_of_other_weights_do_not_stop_an_export(style_run, tmp_path, capsys):
    run = shutil.copytree(style_run, tmp_path / "run")
    moved = [Direction("old", np.eye(8, dtype=np.float32)[0], model="0123")]
    directions.write(run / "directions.json", moved)
    arguments = [f"--run_dir={run}", f"--out={tmp_path}/out", "--formats=tflite"]
    assert __main__.main([*arguments, "--graphs=decoder", "--quantize=none"]) == 0
    assert "directions.json" in capsys.readouterr().err
