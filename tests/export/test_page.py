"""The page in a real browser: Chromium, driven by Selenium, on 127.0.0.1 alone."""

import base64
import io
import json
import shutil
import threading
import time

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("litert_quantizer", reason="extra `export`")
pytest.importorskip("selenium", reason="selenium (extra `dev`)")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from alae_tf.data import open_source
from alae_tf.images import warp
from alae_tf.runs.directory import existing_run
from alae_tf.system.errors import AlaeError
from export import demo, web
from export.loading import load
from tests.paths import GOLDENS

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver (Debian: chromium-driver)"
)
SCREENSHOT = GOLDENS / "page_digits.png"
SECONDS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demo's folder with models/digits, and a second model that is damaged."""
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


@pytest.fixture(scope="module")
def address(folder):
    server = demo.bind(folder, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.add_argument("--window-size=1000,900")
    options.add_argument("--force-prefers-reduced-motion")
    return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def chromium():
    driver = browser()
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium, address):
    """The page with its first model loaded."""
    chromium.get(address)
    wait(chromium, lambda: status(chromium) == "" and drawn(chromium) is not None)
    return chromium


def wait(driver, done):
    WebDriverWait(driver, SECONDS).until(lambda _: done())


def status(driver):
    return driver.find_element(By.ID, "status").text


def drawn(driver, name="result"):
    """What a canvas shows: uint8 [H, W, 3]; None before anything is drawn."""
    url = driver.execute_script(f"return document.getElementById('{name}').toDataURL()")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))
    return pixels[..., :3] if pixels.any() else None


def changed(driver, before, name="result"):
    """The canvas once it shows something else, and not one colour alone."""
    wait(driver, lambda: not np.array_equal(drawn(driver, name), before))
    after = drawn(driver, name)
    assert np.ptp(after) > 100
    return after


def slide(driver, css, value):
    script = """
        const slider = document.querySelector(arguments[0]);
        slider.value = arguments[1];
        slider.dispatchEvent(new Event(slider.type === 'range' ? 'input' : 'change'));"""
    driver.execute_script(script, css, str(value))


def run(driver, script, *arguments):
    """A script of the page that returns a promise."""
    body = f"const done = arguments[arguments.length - 1]; ({script})(...arguments).then(done)"
    return driver.execute_async_script(body, *arguments)


def upload(driver, *files):
    driver.find_element(By.ID, "file").send_keys("\n".join(map(str, files)))


def keras():
    """The model in float32, as the page has it."""
    return load(existing_run("digits"), None, None)[0]


@pytest.fixture(scope="module")
def digits():
    """Ten held-out digits as the model sees them: uint8 [10, 32, 32, 1]."""
    source = open_source("mnist5k:").held_out
    return np.stack([source.fitted(i, 32) for i in range(0, 500, 50)])


def test_the_pages_numbers_are_keras(page, digits):
    model = keras()
    expected = model.encode(digits, layers=True).reshape(len(digits), -1)
    script = "async (pixels) => [...await alae.state.model.encode(Uint8Array.from(pixels))]"
    got = np.array([run(page, script, digit.reshape(-1).tolist()) for digit in digits])
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()
    script = """async (w) => {
        const { model } = alae.state, { toStyles } = await import('./codes.js');
        return [...await model.decode(toStyles(Float32Array.from(w), model.about.styles))]; }"""
    for w in model.encode(digits[:3]):
        pixels = np.array(run(page, script, w.tolist())).reshape(32, 32, 1)
        assert np.abs(pixels - model.decode(w).astype(int)).max() <= 1
    slide(page, "#kind", "_dynamic_int8")
    wait(page, lambda: status(page) == "")
    script = "async (pixels) => [...await alae.state.model.encode(Uint8Array.from(pixels))]"
    got = np.array([run(page, script, digit.reshape(-1).tolist()) for digit in digits])
    spread = np.sqrt(np.mean((expected - expected.mean(axis=0)) ** 2))
    assert np.sqrt(np.mean((got - expected) ** 2)) <= 0.1 * spread


def test_a_file_is_reconstructed(page, digits, tmp_path):
    Image.fromarray(digits[3, ..., 0]).save(tmp_path / "three.png")
    before = drawn(page)
    upload(page, tmp_path / "three.png")
    after = changed(page, before)
    np.testing.assert_array_equal(drawn(page, "seen")[..., :1], digits[3])
    expected = keras().reconstruct(digits[3])
    assert np.abs(after[..., :1].astype(int) - expected).max() <= 2
    assert "ms for E" in page.find_element(By.ID, "time").text
    for name, value in (("size", 0.6), ("turn", 30), ("x", 0.4)):
        seen = drawn(page, "seen")
        slide(page, f"#{name}", value)
        changed(page, seen, "seen")


@pytest.fixture
def photo():
    """Noise on smooth colours, uint8 [H, W, 3]."""
    y, x = np.mgrid[:200, :300] / 300
    smooth = 255 * np.stack([x, y, 1 - x], axis=-1)
    noise = np.random.default_rng(0).normal(0, 20, [200, 300, 3])
    return np.rint(np.clip(smooth + noise, 0, 255)).astype(np.uint8)


def open_photo(driver, pixels, path, **square):
    """Gives the page a photo and moves the square; returns once the page shows it."""
    Image.fromarray(pixels).save(path)
    upload(driver, path)
    asked = {"x": 0.5, "y": 0.5, "size": 1, "turn": 0, **square}
    script = "return alae.state.photo?.file === alae.state.file && alae.state.photo.square"
    wait(driver, lambda: driver.execute_script(script))
    for name, value in square.items():
        slide(driver, f"#{name}", value)
    wait(driver, lambda: driver.execute_script(script) == asked)
    wait(driver, lambda: driver.find_element(By.ID, "photo").is_displayed())


def edit(driver):
    """Moves the first slider to its end."""
    before, slider = drawn(driver), "#sliders input"
    slide(driver, slider, driver.find_element(By.CSS_SELECTOR, slider).get_attribute("max"))
    changed(driver, before)


def saved(driver, folder, name):
    """Downloads the photo: uint8 [H, W, 3]."""
    behavior = {"behavior": "allow", "downloadPath": str(folder)}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", behavior)
    driver.find_element(By.ID, "save-photo").click()
    wait(driver, (folder / name).is_file)
    with Image.open(folder / name) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    (folder / name).unlink()
    return pixels


def pasted(driver, pixels, paste):
    """The photo with the page's edit, as `alae align --paste_back` pastes it."""
    script = "const { square, unedited } = alae.state.photo; return [square, [...unedited]]"
    square, unedited = driver.execute_script(script)
    height, width, _ = pixels.shape
    turn = np.radians(square["turn"])
    quad = warp.square(
        np.array([square["x"] * width, square["y"] * height]),
        np.array([np.cos(turn), np.sin(turn)]),
        square["size"] * min(width, height),
    )
    unedited = np.reshape(unedited, [32, 32, 1]).repeat(3, axis=-1)
    before = unedited if paste == "difference" else None
    return warp.paste_back(pixels, quad, drawn(driver), before)


def difference(a, b):
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b)


def test_an_unedited_photo_is_pasted_as_it_is(page, photo, tmp_path):
    page.get_log("browser")
    open_photo(page, photo, tmp_path / "photo.png")
    assert difference(saved(page, tmp_path, "photo-edited.png"), photo).max() <= 1
    assert difference(drawn(page, "photo"), photo).max() <= 1
    assert [each for each in page.get_log("browser") if each["level"] == "SEVERE"] == []
    page.find_element(By.ID, "random").click()  # an image that is of no photo
    wait(page, lambda: not page.find_element(By.ID, "photo").is_displayed())


SQUARES = [  # turned, over the photo's edges, and smaller than a third of the model's side
    {"size": 0.6, "turn": 30, "x": 0.45},
    {"size": 0.9, "turn": -100, "x": 0.9, "y": 0.1},
    {"size": 0.05, "x": 0.4},
]


@pytest.mark.parametrize("square", SQUARES)
def test_an_edit_is_pasted_as_align_does(page, photo, square, tmp_path):
    open_photo(page, photo, tmp_path / "photo.png", **square)
    edit(page)
    for paste in ("difference", "whole"):
        slide(page, "#paste", paste)
        got = saved(page, tmp_path, "photo-edited.png")
        expected = pasted(page, photo, paste)
        assert difference(got, expected).max() <= 1
        assert difference(expected, photo).max() > 30
        np.testing.assert_array_equal(drawn(page, "photo"), got)


def test_a_large_photo_keeps_its_size(page, photo, tmp_path):
    large = np.asarray(Image.fromarray(photo).resize((4500, 300), Image.Resampling.BICUBIC))
    open_photo(page, large, tmp_path / "large.png")
    assert drawn(page, "photo").shape == (34, 512, 3)
    edit(page)
    got = saved(page, tmp_path, "large-edited.png")
    assert difference(got, pasted(page, large, "difference")).max() <= 1
    assert 0.02 < (got != large).any(axis=-1).mean() < 0.07  # within the square


def test_a_drawn_digit(page):
    before = drawn(page)
    pad = page.find_element(By.ID, "draw")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", pad)
    actions = webdriver.ActionChains(page).move_to_element_with_offset(pad, 0, -80)
    actions.click_and_hold().move_by_offset(5, 80).move_by_offset(5, 80).release().perform()
    changed(page, before)
    seen = drawn(page, "seen")[..., 0]
    rows, columns = np.nonzero(seen > 128)
    assert 17 <= np.ptp(rows) <= 20 and np.ptp(columns) < 8  # a one, of MNIST's size
    assert abs(rows.mean() - 15.5) < 1 and abs(columns.mean() - 15.5) < 1


def test_new_images_and_truncation(page):
    first = drawn(page)
    page.find_element(By.ID, "random").click()
    second = changed(page, first)
    slide(page, "#psi", 0)
    third = changed(page, second)
    mean = keras().generate(1, psi=0)[0]
    assert np.abs(third[..., :1].astype(int) - mean).max() <= 2


def test_sliders_mixing_and_a_path(page):
    first = drawn(page)
    page.find_element(By.ID, "random").click()
    second = changed(page, first)
    page.find_element(By.CSS_SELECTOR, "#mix input[name=coarse]").click()
    mixed = changed(page, second)
    assert not np.array_equal(mixed, first)
    page.find_element(By.ID, "reset").click()
    np.testing.assert_array_equal(changed(page, mixed), second)
    slider = page.find_element(By.CSS_SELECTOR, "#sliders input")
    slide(page, "#sliders input", slider.get_attribute("max"))
    changed(page, second)
    page.find_element(By.ID, "reset").click()
    wait(page, lambda: np.array_equal(drawn(page), second))
    page.find_element(By.ID, "play").click()
    changed(page, second)  # on the way to B
    wait(page, lambda: np.array_equal(drawn(page), second))  # and back


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
    page.find_element(By.ID, "random").click()  # with the model from before
    changed(page, before)
    slide(page, "#model", "digits")
    wait(page, lambda: status(page) == "")


def test_the_later_of_two_files_stays(page, digits, tmp_path):
    Image.fromarray(digits[5, ..., 0]).save(tmp_path / "good.png")
    Image.new("L", (9000, 9000), 77).save(tmp_path / "huge.png")
    upload(page, tmp_path / "huge.png")
    upload(page, tmp_path / "good.png")
    wait(page, lambda: np.array_equal(drawn(page, "seen")[..., :1], digits[5]))
    time.sleep(3)
    assert np.array_equal(drawn(page, "seen")[..., :1], digits[5])
    slide(page, "#kind", "_dynamic_int8")  # the image is encoded again
    wait(page, lambda: status(page) == "" and "ms for E" in page.find_element(By.ID, "time").text)
    assert page.find_element(By.ID, "caption").text == "G(E(x))"
    before = drawn(page)
    page.find_element(By.ID, "random").click()
    changed(page, before)
    assert drawn(page, "seen") is None  # which has nothing to do with it


def test_a_message_goes_when_something_works(page, tmp_path):
    (tmp_path / "text.txt").write_text("no image")
    upload(page, tmp_path / "text.txt")
    wait(page, lambda: "text.txt" in status(page))
    page.find_element(By.ID, "random").click()
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


def test_every_control_has_a_name(page):
    nameless = page.execute_script("""
        return [...document.querySelectorAll('input, select, button, canvas')].filter((e) =>
            !(e.labels?.length && e.labels[0].textContent.trim()) && !e.textContent.trim()
            && !e.getAttribute('aria-label')).map((e) => e.id || e.name)""")
    assert nameless == []


def test_it_looks_as_it_did(page):
    wait(page, lambda: drawn(page, "other") is not None)
    page.execute_script("document.getElementById('time').textContent = ''")
    shot = Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("L")
    golden = Image.open(SCREENSHOT).convert("L")
    assert shot.size == golden.size
    # Coarsely: fonts and rounding differ between machines.
    a, b = (
        np.asarray(each.resize((100, 90), Image.Resampling.BOX), float) for each in (shot, golden)
    )
    assert np.abs(a - b).mean() < 12
