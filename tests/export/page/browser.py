"""What tests do with the page in Chromium, driven by Selenium."""

import base64
import dataclasses
import io
import shutil

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("litert_quantizer", reason="extra `export`")
pytest.importorskip("selenium", reason="selenium (extra `dev`)")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from alae_tf.images import warp
from alae_tf.images.alignment import CROPS
from export import formats
from export.loading import load

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
installed = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver (Debian: chromium-driver)"
)
SECONDS = 60


def open_browser():
    """A Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.add_argument("--window-size=1366,768")
    options.add_argument("--force-prefers-reduced-motion")
    return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


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


def another(driver):
    """A new image, instead of a photo or a drawing."""
    driver.find_element(By.ID, "to-new").click()
    driver.find_element(By.ID, "random").click()


def keras():
    """The model in float32, as the page has it."""
    return load(formats.Options(run_dir="digits"))[0]


def faces_of(driver, photo, crop, model):
    """The squares of the faces that the page finds in a photo, uint8 [H, W, 3]: corners [4, 2] of
    each, the largest face first; and the seconds of the processor's time until the first one."""
    load = """async (url, folder) => {
        const { FaceFinder } = await import('./faces.js');
        const { within } = await import('./picture.js');
        globalThis.finder ??= await FaceFinder.load(folder);
        const image = await createImageBitmap(await (await fetch(url)).blob());
        globalThis.photo = within(image, 768); }"""
    first = "async () => { await finder.find(photo).next(); }"
    find = """async (crop) => {
        const { squareOf } = await import('./faces.js'), squares = [];
        for await (const face of finder.find(photo)) squares.push(squareOf(face, crop, photo));
        return squares; }"""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    run(driver, load, url, f"./model/{model}")
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    before = task_seconds(driver)
    run(driver, first)
    seconds = task_seconds(driver) - before
    squares = run(driver, find, dataclasses.asdict(CROPS[crop]))
    return [corners(square, photo) for square in squares], seconds


def task_seconds(driver):
    """The time that the page's thread has used of the processor, in seconds."""
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return next(each["value"] for each in metrics if each["name"] == "TaskDuration")


def corners(square, photo):
    """The corners of a square of the page in a photo, as in `alae_tf.images.warp`."""
    height, width = photo.shape[:2]
    turn = np.radians(square["turn"])
    return warp.square(
        np.array([square["x"] * width, square["y"] * height]),
        np.array([np.cos(turn), np.sin(turn)]),
        square["size"] * min(width, height),
    )


def differences(got, expected):
    """How far the centre, the side and the farthest corner of a square are off, in sides."""
    sides = [np.linalg.norm(quad[3] - quad[0]) for quad in (got, expected)]
    centre = np.linalg.norm(got.mean(axis=0) - expected.mean(axis=0))
    farthest = np.linalg.norm(got - expected, axis=1).max()
    return [centre / sides[1], abs(sides[0] - sides[1]) / sides[1], farthest / sides[1]]
