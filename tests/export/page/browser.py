"""What tests do with the page in Chromium, driven by Selenium."""

import base64
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

from alae_tf.runs.directory import existing_run
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
    options.add_argument("--window-size=1000,900")
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


def keras():
    """The model in float32, as the page has it."""
    return load(existing_run("digits"), None, None)[0]
