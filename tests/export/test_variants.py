"""Exports of the ablations: what leaves is the encoder that Keras has, with F where w needs it."""

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("litert_quantizer", reason="extra `export`")
pytest.importorskip("tf2onnx", reason="extra `export`")
pytest.importorskip("tensorflow_serving", reason="extra `serving`")

import alae_tf
from export import __main__
from export.litert import TFLite
from export.onnx import ONNX
from tests.helpers.runs import save_run

ALL = dict(discriminator="separate", encoder_head="dense", latent_regression="z")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        pytest.param("style", dict(discriminator="separate"), marks=pytest.mark.slow),
        pytest.param("style", dict(encoder_head="dense"), marks=pytest.mark.slow),
        pytest.param(
            "style",
            dict(discriminator="separate", encoder_head="readout"),
            marks=pytest.mark.slow,
        ),
        pytest.param("style", dict(latent_regression="z"), marks=pytest.mark.slow),
        ("mlp", dict(discriminator="separate", latent_regression="z")),
    ],
    ids=["separate", "no_style", "readout", "z", "mlp"],
)
def test_encoders_of_variants_agree_with_keras(kind, changes, small, small_mlp, tmp_path, photos):
    config = small if kind == "style" else small_mlp
    config = config.replace(data=f"folder:{photos}?channels=1", **changes)
    run = save_run(config, tmp_path / "run")
    arguments = [f"--run_dir={run}", f"--out={tmp_path}/out", "--graphs=encoder"]
    assert __main__.main([*arguments, "--formats=tflite,onnx", "--quantize=none"]) == 0
    model = alae_tf.load_model(run)
    side = model.resolution
    pixels = np.random.default_rng(2).integers(0, 256, (5, side, side, 1), np.uint8)
    w = model.encode(pixels)
    images = (pixels / 127.5 - 1).astype(np.float32)
    found = model.alae.E(tf.constant(images))
    if config.latent_regression == "z":
        found = model.alae.F(found)
    np.testing.assert_allclose(w, found, atol=1e-5)
    for file in (
        TFLite(tmp_path / "out/encoder.tflite"),
        ONNX(tmp_path / "out/encoder.onnx"),
    ):
        np.testing.assert_allclose(file(images), w, atol=1e-4 * np.abs(w).max())
    assert np.abs(model.reconstruct(pixels) - model.decode(w).astype(int)).max() == 0


@pytest.mark.slow
def test_a_saved_model_of_all_ablations_at_once(small, tmp_path, photos):
    config = small.replace(data=f"folder:{photos}?channels=1", **ALL)
    run = save_run(config, tmp_path / "run")
    arguments = [f"--run_dir={run}", f"--out={tmp_path}/out"]
    assert __main__.main([*arguments, "--formats=saved_model"]) == 0  # each signature is compared
