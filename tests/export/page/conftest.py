"""The page on 127.0.0.1 alone, and a browser. Their modules are imported once tests need them."""

import json
import shutil
import threading

import numpy as np
import pytest

from alae_tf.data import open_source
from alae_tf.system.errors import AlaeError


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The demo's folder with models/digits, and a second model that is damaged."""
    from export import demo, web

    try:
        web.check_runtime(None)
    except AlaeError as error:
        pytest.skip(f"LiteRT.js: {error}")
    out = tmp_path_factory.mktemp("page") / "page"
    assert demo.main(["--models=digits", f"--out={out}", "--build"]) == 0
    shutil.copytree(out / "model/digits", out / "model/damaged")
    (out / "model/damaged/encoder.tflite").write_bytes(b"no model")
    (out / "models.json").write_text(json.dumps(["digits", "damaged"]))
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


@pytest.fixture(scope="session")
def digits():
    """Ten held-out digits as the model sees them: uint8 [10, 32, 32, 1]."""
    source = open_source("mnist5k:").held_out
    return np.stack([source.fitted(i, 32) for i in range(0, 500, 50)])
