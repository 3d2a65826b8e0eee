"""report.html, and how it looks in a browser without a network."""

import os
import re
import shutil
import types

import numpy as np
import pytest

from alae_tf.config import Config
from alae_tf.runs.directory import RunDirectory
from alae_tf.training import loop, report_page
from alae_tf.training.schedule import Growth
from tests.training.test_loop import digits as digits

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture
def run_dir(digits, tmp_path):
    """A run whose name is HTML, with sample grids at 16, 32 and 48 images."""
    run_dir = tmp_path / "<b>run"
    config = digits.replace(sample_images=16, log_images=8, evaluate_images=16)

    def make_measure(source):
        return lambda model: {"fd_lpips": float(model.images_seen)}, {"fd_lpips": "lower"}

    assert loop.train(config, RunDirectory(run_dir), make_measure=make_measure) == 0
    return run_dir


def test_what_the_report_holds(run_dir):
    text = (run_dir / "report.html").read_text()
    assert "48 of 45 images" in text and "&lt;b&gt;run" in text and "<b>run" not in text
    assert text.count("data:image/webp;base64,") == 3
    for title in ("Losses", "fd_lpips", "D&#x27;s logits", "Images per second"):
        assert f"<figcaption>{title}" in text
    assert "--ema_images (now 10,000)" in text  # the verdict
    assert "--data=mnist5k:" in text  # the settings
    assert not re.search(r"(src|href)=|https?:|url\(|@import", text)  # nothing from elsewhere


def test_a_folder_whose_name_is_no_text_and_a_speed_of_0(tmp_path):
    directory = RunDirectory(tmp_path / os.fsdecode(b"run\xff"))
    directory.path.mkdir()
    row = "images_seen,level,blend,images_per_second\n8,0,1,"
    progress = types.SimpleNamespace(
        **dict(images_seen=8, level=0, blend=1.0, finished=False, config=Config()),
        growth=Growth((100,), levels=1, total=100),
        trainer=types.SimpleNamespace(updates=[]),
    )
    for speed in ("0", ""):
        directory.metrics.path.write_text(f"{row}{speed}\n")
        health = types.SimpleNamespace(found={}, now=set())
        text = report_page.page(directory, progress, health, []).decode()
        assert "<h1>run?</h1>" in text and "8 of 100 images" in text


def test_damaged_pictures_are_left_out_and_long_runs_thinned(tmp_path):
    for number in range(60):
        path = tmp_path / f"images-{number:012d}.png"
        path.write_bytes(b"no picture")
    report_page.Image.fromarray(np.zeros([4, 4, 3], np.uint8)).save(path)
    (tmp_path / "notes.png").write_bytes(b"")
    (tmp_path / f"images-{30:012d}.png").unlink()
    os.mkfifo(tmp_path / f"images-{30:012d}.png")  # which would wait for a writer
    assert [label for label, _ in report_page.grids(tmp_path, 59)] == ["59 images"]
    assert report_page.grids(tmp_path, 58) == []


def test_long_curves_are_thinned_and_gaps_left_out():
    rows = [{"images_seen": str(i), "a": "" if i % 2 else str(i - 500)} for i in range(4000)]
    found = report_page.points(rows, "a", log=False)
    assert found[0] == (0, -500) and report_page.MOST_POINTS / 2 < len(found) <= 501
    assert all(y > 0 for _, y in report_page.points(rows, "a", log=True))


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver")
def test_the_slider_shows_the_samples_over_time(run_dir):
    pytest.importorskip("selenium", reason="selenium (extra `dev`)")
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        driver.get((run_dir / "report.html").as_uri())
        assert driver.find_element(By.TAG_NAME, "h1").text == "<b>run"
        seen, grid = (driver.find_element(By.ID, name) for name in ("seen", "grid"))
        assert seen.text == "48 images"
        newest = grid.get_attribute("src")
        driver.find_element(By.ID, "time").send_keys(Keys.HOME)
        assert seen.text == "16 images"
        assert grid.get_attribute("src") != newest
        assert driver.execute_script("return document.getElementById('grid').naturalWidth") > 500
        assert len(driver.find_elements(By.CSS_SELECTOR, "#verdicts li.now")) == 1
        assert len(driver.find_elements(By.TAG_NAME, "polyline")) >= 10
        assert driver.get_log("browser") == []
    finally:
        driver.quit()
