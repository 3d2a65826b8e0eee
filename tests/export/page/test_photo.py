"""Edits of a photo, pasted as `alae align --paste_back` does."""

import numpy as np
import pytest
from PIL import Image

from alae_tf.images import warp
from tests.export.page.browser import (
    By,
    another,
    changed,
    corners,
    drawn,
    installed,
    slide,
    upload,
    wait,
)

pytestmark = installed


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
    driver.execute_script("alae.frames.change(arguments[0])", square)
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
    quad = corners(square, pixels)
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
    another(page)  # an image that is of no photo
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
    assert drawn(page, "photo").shape == (51, 768, 3)
    edit(page)
    got = saved(page, tmp_path, "large-edited.png")
    assert difference(got, pasted(page, large, "difference")).max() <= 1
    assert 0.02 < (got != large).any(axis=-1).mean() < 0.07  # within the square
