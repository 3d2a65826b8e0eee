"""Wrong files and models, a missing runtime, and a browser that cannot run it."""

import shutil
import threading
import time

import numpy as np
import pytest
from PIL import Image

from export import demo, web
from tests.export.page.browser import (
    By,
    another,
    changed,
    drawn,
    installed,
    slide,
    status,
    upload,
    wait,
)

pytestmark = installed


def test_errors_are_shown_and_the_page_stays_usable(page, digits, tmp_path):
    Image.fromarray(digits[5, ..., 0]).save(tmp_path / "good.png")
    (tmp_path / "text.txt").write_text("no image")
    (tmp_path / "damaged.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    Image.new("L", (9000, 6000), 77).save(tmp_path / "huge.png")
    upload(page, tmp_path / "text.txt")
    wait(page, lambda: "text.txt" in status(page))
    upload(page, tmp_path / "damaged.png")
    wait(page, lambda: "damaged.png" in status(page))
    before = drawn(page, "seen")
    upload(page, tmp_path / "huge.png")
    wait(page, lambda: not np.array_equal(drawn(page, "seen"), before))
    assert abs(int(drawn(page, "seen").mean()) - 77) <= 1 and status(page) == ""
    upload(page, *[tmp_path / "good.png"] * 10)
    wait(page, lambda: "10 files" in status(page))
    slide(page, "#model", "damaged")
    wait(page, lambda: "encoder.tflite" in status(page))
    assert page.find_element(By.ID, "model").get_property("value") == "digits"
    before = drawn(page)
    another(page)  # with the model from before
    changed(page, before)
    slide(page, "#model", "digits")
    wait(page, lambda: status(page) == "")


def test_the_later_of_two_files_stays(page, digits, tmp_path):
    Image.fromarray(digits[5, ..., 0]).save(tmp_path / "good.png")
    Image.new("L", (9000, 9000), 77).save(tmp_path / "huge.png")
    good = np.repeat(digits[5], 3, axis=-1)
    upload(page, tmp_path / "huge.png")
    upload(page, tmp_path / "good.png")
    wait(page, lambda: np.array_equal(drawn(page, "seen"), good))
    time.sleep(3)
    assert np.array_equal(drawn(page, "seen"), good)
    slide(page, "#kind", "_dynamic_int8")  # the image is encoded again
    wait(
        page,
        lambda: status(page) == "" and "ms for E" in page.find_element(By.ID, "time").text,
    )
    assert page.execute_script("return alae.state.photo.file.name") == "good.png"
    before = drawn(page)
    another(page)
    changed(page, before)
    assert drawn(page, "seen") is None  # which has nothing to do with it


def test_a_message_goes_when_something_works(page, tmp_path):
    (tmp_path / "text.txt").write_text("no image")
    upload(page, tmp_path / "text.txt")
    wait(page, lambda: "text.txt" in status(page))
    another(page)
    wait(page, lambda: status(page) == "")


class Elsewhere(demo.Quiet):
    """Files that pages of other places may fetch, as a CDN's."""

    def end_headers(self):
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()


def test_the_runtime_from_elsewhere(chromium, folder, tmp_path):
    place = tmp_path / "place"
    for package in web.RUNTIME:
        for inside, name in package.files.items():
            (place / package.name / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "runtime" / name, place / package.name / inside)
    shutil.copytree(folder / "model/digits", tmp_path / "page/model/digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "Quiet", Elsewhere)
        servers = [demo.bind(place, 0), demo.bind(tmp_path / "page", 0)]
    there, here = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    web.check_runtime(there)
    web.write_page(tmp_path / "page", ["digits"], there)
    assert not (tmp_path / "page/runtime").exists()
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        chromium.get(here)
        wait(chromium, lambda: status(chromium) == "" and drawn(chromium) is not None)
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def test_a_missing_runtime_or_server_is_reported(chromium, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "page")
    (tmp_path / "page/runtime/core.js").unlink()
    server = demo.bind(tmp_path / "page", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        chromium.get(f"http://127.0.0.1:{server.server_port}/")
        wait(chromium, lambda: "runtime" in status(chromium))
        assert chromium.find_element(By.ID, "purpose").text  # shown before the networks arrive
    finally:
        server.shutdown()
        server.server_close()
    chromium.get(f"file://{folder}/index.html")
    wait(chromium, lambda: "web server" in status(chromium))


def test_of_two_models_chosen_at_once_the_last_is_shown(page):
    script = """
        for (const kind of ['_dynamic_int8', '', '_dynamic_int8']) {
            document.getElementById('kind').value = kind;
            document.getElementById('kind').dispatchEvent(new Event('change'));
        }"""
    page.execute_script(script)
    wait(page, lambda: status(page) == "")
    assert page.execute_script("return alae.state.chosen") == ["digits", "_dynamic_int8"]
    assert page.execute_script("return document.getElementById('kind').value") == "_dynamic_int8"


def test_a_browser_without_webassembly(chromium, address):
    source = {"source": "delete globalThis.WebAssembly"}
    added = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    try:
        chromium.get(address)
        wait(chromium, lambda: "WebAssembly" in status(chromium))
    finally:
        chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
