"""Exports of a model whose E gives a code for each layer of G."""

import json

import numpy as np
import pytest

pytest.importorskip("litert_quantizer", reason="extra `export`")
pytest.importorskip("tf2onnx", reason="extra `export`")

import alae_tf
from alae_tf.config import Config
from alae_tf.images.picture import png
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.model.pretrained import save_pretrained
from alae_tf.networks.alae import build_alae
from export import __main__, encode
from export.onnx import ONNX
from export.saved_model import ServedModel
from export.tflite import TFLite

pytestmark = pytest.mark.slow

GRAPHS = "--graphs=encoder_styles,decoder_styles"


@pytest.fixture(scope="module")
def layered(tmp_path_factory):
    """A folder with a model and its export."""
    folder = tmp_path_factory.mktemp("layers")
    config = Config(
        data="mnist5k:",
        levels=2,
        image_channels=1,
        start_channels=4,
        max_channels=8,
        latent_size=8,
        mapping_layers=2,
        encoder_codes="layers",
        flip=False,
    )
    alae = build_alae(config)
    kernel = alae.E.to_corrections.kernel
    kernel.assign(np.random.default_rng(0).standard_normal(kernel.shape) * 0.2)
    save_pretrained(Autoencoder(config, alae, images_seen=0), folder / "model", "")
    arguments = [
        f"--run_dir={folder}/model",
        f"--out={folder}/export",
        GRAPHS,
    ]
    arguments += ["--formats=saved_model,tflite,onnx,keras", "--quantize=none,int8"]
    assert __main__.main([*arguments, "--max_int8_error=1"]) == 0
    return folder


def test_every_file_agrees(layered):
    rows = json.loads((layered / "export/parity.json").read_text())
    assert all(row["holds"] for row in rows)
    graphs = {row["graph"] for row in rows}
    assert {"encode", "encode_styles", "encode_styles_bytes", "reconstruct"} <= graphs
    assert {"encoder_styles", "encoder_styles_uint8", "decoder_styles"} <= graphs
    manifest = json.loads((layered / "export/manifest.json").read_text())
    outputs = manifest["graphs"]["encoder_styles"]["outputs"]
    assert outputs == {"styles": {"dtype": "float32", "shape": [None, 4, 8]}}


def test_files_give_both_kinds_of_codes(layered):
    model, out = alae_tf.load_model(layered / "model"), layered / "export"
    pixels = np.random.default_rng(2).integers(0, 256, (3, 8, 8, 1), np.uint8)
    x = (pixels / 127.5 - 1).astype(np.float32)
    w, styles = model.encode(pixels), model.encode(pixels, layers=True)
    assert w.shape == (3, 8) and styles.shape == (3, 4, 8)
    assert np.abs(styles - w[:, np.newaxis]).max() > 0.1
    for run in (TFLite(out / "encoder_styles.tflite"), ONNX(out / "encoder_styles.onnx")):
        np.testing.assert_allclose(run(x), styles, atol=1e-4 * np.abs(styles).max())
    served = ServedModel(out / "saved_model/1")
    np.testing.assert_allclose(served.run("encode", images=x)["w"], w, atol=1e-4)
    drawn = served.run("reconstruct", images=x)["pixels"].astype(int)
    assert np.abs(drawn - model.reconstruct(pixels)).max() <= 1
    again = alae_tf.from_pretrained(out / "model.keras")
    np.testing.assert_allclose(again.encode(pixels, layers=True), styles, atol=1e-5)


def test_on_the_device(layered, tmp_path):
    out, digit = layered / "export", tmp_path / "digit.png"
    digit.write_bytes(png(np.random.default_rng(0).integers(0, 256, (8, 8, 1), np.uint8)))
    codes, picture = tmp_path / "codes.npy", tmp_path / "again.png"
    model = f"--model={out}/encoder_styles.tflite"
    assert encode.main([str(digit), model, f"--out={codes}"]) == 0
    assert np.load(codes).shape == (1, 4, 8)
    model = f"--model={out}/decoder_styles.tflite"
    assert encode.main([f"--decode={codes}", model, f"--out={picture}"]) == 0
    assert picture.stat().st_size
