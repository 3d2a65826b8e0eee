"""python -m export on small models: what it writes, that it agrees with Keras, what it refuses."""

import fcntl
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

pytest.importorskip("litert_quantizer", reason="extra `export`")
pytest.importorskip("tf2onnx", reason="extra `export`")
pytest.importorskip("tensorflow_serving", reason="extra `serving`")

import alae_tf
from export import ExportFailed, __main__
from export.litert import TFLite
from export.onnx import ONNX
from export.saved_model import SIGNATURES, ServedModel
from tests.helpers.runs import save_run


def test_what_is_written(exported):
    kinds = ["", "_float16", "_dynamic_int8", "_int8"]
    files = {f"{graph}{kind}.tflite" for graph in ("encoder", "decoder") for kind in kinds}
    files |= {"encoder_batch1.tflite", "decoder_batch1.tflite"}
    files |= {"encoder.onnx", "decoder.onnx", "manifest.json", "parity.json", "parity.png"}
    assert {path.name for path in exported.iterdir()} == files | {"saved_model", "serving"}
    assert [path.name for path in (exported / "saved_model").iterdir()] == ["1"]
    manifest = json.loads((exported / "manifest.json").read_text())
    assert (manifest["level"], manifest["resolution"]) == (1, 8)
    for name, entry in manifest["files"].items():
        data = (exported / name).read_bytes()
        assert entry["size"] == len(data), name
    assert "saved_model/1/assets.extra/tf_serving_warmup_requests" in manifest["files"]
    assert manifest["graphs"]["encode_uint8"] == {
        "inputs": {"pixels": {"dtype": "uint8", "shape": [None, 8, 8, 3]}},
        "outputs": {"w": {"dtype": "float32", "shape": [None, 8]}},
    }
    assert manifest["complete"]


def test_parity_is_recorded(exported):
    rows = json.loads((exported / "parity.json").read_text())
    assert all(row["holds"] for row in rows)
    graphs = {row["graph"] for row in rows if row["runtime"] == "TF 1 loader"}
    assert graphs == {
        *("encode", "encode_uint8", "encode_bytes", "encode_styles", "encode_styles_bytes"),
        *("decode", "reconstruct", "generate"),
    }
    floats = [row for row in rows if "int8" not in row["file"] and "float16" not in row["file"]]
    assert max(row["relative_error"] for row in floats) < 1e-4
    assert all(row["delegated"] > 0.9 for row in rows if row["file"] == "encoder.tflite")


def test_files_agree_with_the_python_api(exported, style_run):
    import alae_tf

    model = alae_tf.load_model(style_run)
    pixels = np.random.default_rng(2).integers(0, 256, (5, 8, 8, 3), np.uint8)
    w = model.encode(pixels)
    images = (pixels / 127.5 - 1).astype(np.float32)
    for run in (
        TFLite(exported / "encoder.tflite"),
        ONNX(exported / "encoder.onnx"),
    ):
        np.testing.assert_allclose(run(images), w, atol=1e-4 * np.abs(w).max())
    served = ServedModel(exported / "saved_model/1")
    np.testing.assert_array_equal(
        np.abs(served.run("decode", w=w)["pixels"].astype(int) - model.decode(w)).max() <= 1, True
    )
    generated = served.run("generate", z=np.zeros([2, 8], np.float32), psi=np.ones(2, np.float32))
    assert generated["pixels"].shape == (2, 8, 8, 3)
    assert generated["images"].dtype == np.float32


def test_images_of_any_size_are_fitted_as_in_training(exported, photos, tmp_path):
    from alae_tf.images.fit import fit
    from alae_tf.images.read import read_image

    served = ServedModel(exported / "saved_model/1")
    files = sorted(photos.iterdir())
    for i, (width, height) in enumerate([(9, 9), (33, 33), (100, 75), (5, 7)]):
        noise = np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    files += sorted(tmp_path.iterdir())
    data = np.array([path.read_bytes() for path in files], object)
    fitted = np.stack([fit(read_image(path, 3), 8) for path in files])
    w = served.run("encode_uint8", pixels=fitted)["w"]
    difference = np.abs(served.run("encode_bytes", image_bytes=data)["w"] - w).max()
    assert difference < 0.02 * np.abs(w).max()  # the last bit of rounding


def test_warm_up_requests_run(exported):
    from tensorflow_serving.apis import prediction_log_pb2

    served = ServedModel(exported / "saved_model/1")
    path = exported / "saved_model/1/assets.extra/tf_serving_warmup_requests"
    names = []
    for record in tf.data.TFRecordDataset(str(path)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        assert served.run(request.model_spec.signature_name, **inputs)
        names.append(request.model_spec.signature_name)
    assert sorted(names) == sorted(SIGNATURES)


def test_serving_files(exported):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    from export import serving

    text = (exported / "serving/models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    assert config.model_config_list.config[0].name == serving.MODEL_NAME
    assert config.model_config_list.config[0].base_path == "/models/alae"
    compose = (exported / "serving/compose.yaml").read_text()
    assert "../saved_model:/models/alae:ro" in compose
    assert "max_batch_size" in (exported / "serving/batching.config").read_text()


def test_onnx_names(exported):
    session = ONNX(exported / "encoder.onnx").session
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("images", ["batch", 8, 8, 3])]
    assert session.get_outputs()[0].name == "w"


@pytest.mark.slow
def test_a_wrong_file_is_left_out_and_the_others_published(
    style_run, tmp_path, capsys, monkeypatch
):
    from export import onnx

    right = onnx.convert

    def wrong(endpoint):
        function, specs = endpoint
        if specs[0].name == "w":
            raise ExportFailed("tf2onnx cannot express it (so)")
        return right((lambda x: {k: v * 1.001 for k, v in function(x).items()}, specs))

    monkeypatch.setattr(onnx, "convert", wrong)
    out = tmp_path / "out"
    arguments = [f"--run_dir={style_run}", f"--out={out}", "--quantize=none"]
    assert __main__.main([*arguments, "--formats=onnx,tflite"]) == 1
    encoder, decoder = capsys.readouterr().err.splitlines()[-2:]
    assert encoder.startswith("export: encoder.onnx:") and "--graphs=decoder" in encoder
    assert decoder.startswith("export: decoder.onnx:") and "--graphs=encoder" in decoder
    assert "tf2onnx cannot express it (so)" in decoder
    names = {path.name for path in out.iterdir()}
    assert names == {
        "encoder.tflite", "decoder.tflite", "encoder_batch1.tflite", "decoder_batch1.tflite",
        "manifest.json", "parity.json", "parity.png",
    }  # fmt: skip
    assert names - {"manifest.json"} == set(
        json.loads((out / "manifest.json").read_text())["files"]
    )
    assert __main__.main([f"--run_dir={style_run}", f"--out={tmp_path}/b", "--formats=onnx"]) == 1
    assert not (tmp_path / "b").exists()


def test_a_full_disk_leaves_nothing(style_run, tmp_path, capsys, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    arguments = [f"--run_dir={style_run}", f"--out={tmp_path}/out", "--formats=onnx"]
    assert __main__.main(arguments) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_fading_level_and_mlp(tmp_path, photos, small, small_mlp):
    fading = small.replace(image_channels=3, data=f"folder:{photos}")
    run = save_run(fading, tmp_path / "fading", level=1, blend=0.35)
    arguments = [f"--out={tmp_path}/a", "--formats=onnx,saved_model"]
    assert __main__.main([f"--run_dir={run}", *arguments]) == 0
    arguments = [f"--out={tmp_path}/b", "--formats=onnx", "--level=0"]
    assert __main__.main([f"--run_dir={run}", *arguments]) == 0
    assert ONNX(tmp_path / "b/encoder.onnx").session.get_inputs()[0].shape[1] == 4
    # Below the top level G leaves the later styles alone, which stopped int8's calibration.
    arguments = [f"--out={tmp_path}/d", "--formats=tflite", "--quantize=int8", "--level=0"]
    arguments += ["--max_int8_error=1", "--max_int8_decoder_error=1"]
    assert __main__.main([f"--run_dir={run}", *arguments]) == 0
    assert (tmp_path / "d/decoder_int8.tflite").exists()
    mlp = small_mlp.replace(data=f"folder:{photos}?channels=1")
    run = save_run(mlp, tmp_path / "mlp")
    arguments = [f"--out={tmp_path}/c", "--max_int8_error=1"]
    assert __main__.main([f"--run_dir={run}", *arguments]) == 0


@pytest.mark.slow
def test_float16_of_a_constant_channel_is_a_number(tmp_path, photos):
    """An untrained decoder has constant channels: ε 1e-8 must not be rounded to 0."""
    config = tmp_path / "some.cfg"
    config.write_text("--levels=2\n--start_channels=4\n--max_channels=8\n--latent_size=8\n"
                      "--image_channels=3\n")  # fmt: skip
    arguments = [f"--untrained={config}", f"--representative_data=folder:{photos}"]
    arguments += [f"--out={tmp_path}/out", "--formats=tflite", "--quantize=float16"]
    assert __main__.main(arguments) == 0
    decode = TFLite(tmp_path / "out/decoder_float16.tflite")
    assert np.isfinite(decode(np.ones([1, 8], np.float32))).all()


def test_random_operations_are_refused(tmp_path, small):
    """Flex operators never reach a file."""
    from export import saved_model, tflite

    model = __import__("alae_tf.networks.alae", fromlist=["build_alae"]).build_alae(small)
    spec = tf.TensorSpec([None, 8], tf.float32, "w")

    def noisy(w):
        return {"w": w + tf.random.stateless_normal([8], [0, 0])}

    saved_model.write(model, {"noisy": (noisy, [spec])}, tmp_path / "model")
    with pytest.raises(Exception, match="(?i)flex|custom|not supported"):
        tflite.convert(tmp_path / "model", "noisy")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--formats=saved_model,pth"], 2, "--formats: 'pth'"),
        (["--quantize=int4"], 2, "--quantize: 'int4'"),
        (["--max_int8_error=-1"], 2, "--max_int8_error: "),
        (["--max_int8_decoder_error=nan"], 2, "--max_int8_decoder_error: "),
        (["--level=5"], 2, "--level=5"),
        (["--representative_data=folder:nowhere"], 2, "--representative_data=folder:nowhere"),
        (["--representative_data=mnist5k:"], 2, "--representative_data=mnist5k:"),
    ],
)
def test_bad_flags(style_run, tmp_path, capsys, arguments, code, message):
    try:
        got = __main__.main([f"--run_dir={style_run}", f"--out={tmp_path}/out", *arguments])
    except SystemExit as stop:
        got = stop.code
    assert got == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_bad_directories(style_run, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter.txt").write_text("dear")
    assert __main__.main([f"--run_dir={style_run}", f"--out={tmp_path}/full"]) == 2
    assert "--out=" in capsys.readouterr().err
    assert __main__.main([f"--run_dir={style_run}", f"--out={tmp_path}/full/letter.txt"]) == 2
    assert "letter.txt" in capsys.readouterr().err
    assert __main__.main([f"--run_dir={tmp_path}/none", f"--out={tmp_path}/out"]) == 2
    assert "--run_dir=" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    shutil.copy(style_run / "config.cfg", tmp_path / "empty")
    assert __main__.main([f"--run_dir={tmp_path}/empty", f"--out={tmp_path}/out"]) == 2
    assert "empty" in capsys.readouterr().err
    assert (tmp_path / "full/letter.txt").read_text() == "dear"


def test_keras_own_file(style_run, tmp_path):
    arguments = [f"--run_dir={style_run}", f"--out={tmp_path}/out", "--formats=keras"]
    assert __main__.main(arguments) == 0
    rows = json.loads((tmp_path / "out/parity.json").read_text())
    assert [row["graph"] for row in rows] == ["encode", "encode_styles", "decode", "decode"]
    assert all(row["holds"] for row in rows)
    model = alae_tf.from_pretrained(tmp_path / "out/model.keras")
    assert (model.level, model.images_seen) == (1, 8)


@pytest.mark.slow
def test_a_second_export_is_a_new_version(exported, style_run, tmp_path):
    """Of the same weights: what is there of other formats stays."""
    out = shutil.copytree(exported, tmp_path / "export")
    before = (out / "saved_model/1/saved_model.pb").read_bytes()
    left = out / f".alae-{16 * '0'}.partial"  # of an export that was killed
    left.mkdir()
    (left / "encoder.onnx").touch()
    arguments = [f"--run_dir={style_run}", f"--out={out}", "--formats=saved_model"]
    assert __main__.main(arguments) == 0
    assert sorted(path.name for path in (out / "saved_model").iterdir()) == ["1", "2"]
    assert (out / "saved_model/1/saved_model.pb").read_bytes() == before
    files = json.loads((out / "manifest.json").read_text())["files"]
    assert {"saved_model/1/saved_model.pb", "saved_model/2/saved_model.pb"} <= files.keys()
    assert {"encoder.onnx", "decoder_int8.tflite", "serving/models.config"} <= files.keys()
    assert {path.name for path in out.iterdir()} == {path.name for path in exported.iterdir()}


def test_a_later_checkpoint_replaces_the_files(exported, style_run, tmp_path):
    run, out = shutil.copytree(style_run, tmp_path / "run"), tmp_path / "export"
    shutil.copytree(exported, out)
    (path,) = (run / "checkpoints").iterdir()
    entries = dict(np.load(path))
    entries["ema/G/constant"] = entries["ema/G/constant"] * 1.5
    state = json.loads(bytes(entries["state"])) | {"images_seen": 16}
    entries["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    np.savez(path.with_name("images-000000000016.npz"), **entries)
    arguments = [f"--run_dir={run}", f"--out={out}", "--formats=onnx"]
    assert __main__.main(arguments) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["weights"]["images_seen"] == 16
    assert {name.partition("/")[0] for name in manifest["files"]} == {
        "saved_model", "serving", "encoder.onnx", "decoder.onnx", "parity.png", "parity.json"
    }  # fmt: skip
    assert not list(out.glob("*.tflite"))  # of older weights
    of = {name: file["weights"] for name, file in manifest["files"].items()}
    assert of["saved_model/1/saved_model.pb"] != of["encoder.onnx"]
    assert "encode_bytes" in manifest["graphs"]  # the SavedModel that stays has it


def test_an_export_directory_holds_one_model(exported, style_run, photos, tmp_path, capsys):
    out = shutil.copytree(exported, tmp_path / "export")
    before = (out / "manifest.json").read_bytes()
    other = shutil.copytree(style_run, tmp_path / "run")
    config = (other / "config.cfg").read_text()
    (other / "config.cfg").write_text(config.replace("--seed=0", "--seed=1"))
    untrained = [f"--untrained={style_run}/config.cfg", f"--out={out}", "--formats=onnx"]
    for arguments, message in (
        ([f"--run_dir={other}", f"--out={out}"], "seed: 0"),
        ([f"--run_dir={style_run}", f"--out={out}", "--level=0"], "level: 1"),
        (untrained, "weights: trained"),
    ):
        assert __main__.main(arguments) == 2
        assert message in capsys.readouterr().err
    assert (out / "manifest.json").read_bytes() == before
    (out / "manifest.json").write_text("{")
    assert __main__.main([f"--run_dir={style_run}", f"--out={out}"]) == 2
    assert "manifest.json" in capsys.readouterr().err


def test_obstacles_are_reported_before_anything_is_renamed(exported, style_run, tmp_path, capsys):
    out = shutil.copytree(exported, tmp_path / "export")
    (out / "parity.png").unlink()
    (out / "parity.png").mkdir()
    before = (out / "manifest.json").read_bytes()
    arguments = [f"--run_dir={style_run}", f"--out={out}", "--formats=onnx"]
    assert __main__.main(arguments) == 2
    assert "parity.png" in capsys.readouterr().err
    assert (out / "manifest.json").read_bytes() == before


def test_two_exports_into_one_directory(style_run, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with open(out / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        arguments = [f"--run_dir={style_run}", f"--out={out}", "--formats=onnx"]
        assert __main__.main(arguments) == 2
    assert "--out=" in capsys.readouterr().err
