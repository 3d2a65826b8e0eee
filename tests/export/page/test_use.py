"""What a visitor does: files, drawings, new images, sliders; and how the page looks."""

import io

import numpy as np
import pytest
from PIL import Image

from alae_tf.system import npm
from alae_tf.system.environment import cache
from tests.export.page.browser import (
    By,
    another,
    changed,
    drawn,
    installed,
    keras,
    run,
    slide,
    status,
    upload,
    wait,
    webdriver,
)
from tests.paths import GOLDENS

pytestmark = installed
SCREENSHOT = GOLDENS / "page_digits.png"


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
    for change in ({"size": 0.6}, {"turn": 30}, {"x": 0.4}):
        seen = drawn(page, "seen")
        page.execute_script("alae.frames.change(arguments[0])", change)
        changed(page, seen, "seen")


def test_a_drawn_digit(page):
    before = drawn(page)
    pad = page.find_element(By.ID, "draw")
    actions = webdriver.ActionChains(page).move_to_element_with_offset(pad, 0, -80)
    actions.click_and_hold().move_by_offset(5, 80).move_by_offset(5, 80).release().perform()
    changed(page, before)
    seen = drawn(page, "seen")[..., 0]
    rows, columns = np.nonzero(seen > 128)
    assert 17 <= np.ptp(rows) <= 20 and np.ptp(columns) < 8  # a one, of MNIST's size
    assert abs(rows.mean() - 15.5) < 1 and abs(columns.mean() - 15.5) < 1


def test_new_images_and_truncation(page):
    first = drawn(page)
    another(page)
    second = changed(page, first)
    slide(page, "#psi", 0)
    third = changed(page, second)
    mean = keras().generate(1, psi=0)[0]
    assert np.abs(third[..., :1].astype(int) - mean).max() <= 2


def test_sliders_mixing_and_a_path(page):
    first = drawn(page)
    another(page)
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


def test_a_laptop_shows_all_and_a_phone_its_width(chromium, page, digits, tmp_path):
    Image.fromarray(digits[3, ..., 0]).save(tmp_path / "three.png")
    script = """
        const { scrollWidth, scrollHeight } = document.documentElement;
        const panel = document.getElementById('panel');
        return [scrollWidth, scrollHeight, panel.scrollHeight - panel.clientHeight];"""
    for width, height, mobile in ((1366, 768, False), (1366, 620, False), (390, 844, True)):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        try:
            for mode in ("draw", "new", "photo"):
                page.find_element(By.ID, f"to-{mode}").click()
                got = page.execute_script(script)
                assert got[0] == width
                if not mobile:
                    assert got[1:] == [height, 0]
            upload(page, tmp_path / "three.png")
            wait(page, lambda: page.find_element(By.ID, "save-photo").is_displayed())
            got = page.execute_script(script)
            assert got == [width, height, 0] if not mobile else got[0] == width
        finally:
            chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


AXE = npm.Package(
    "axe-core@4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09"
    "a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    {"axe.min.js": "axe.min.js"},
)


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The source of axe-core."""
    folder = cache() / "axe-core-4.14.1"
    try:
        if not (folder / "axe.min.js").is_file():
            npm.fetch((AXE,), folder)
    except npm.NpmError as error:
        pytest.skip(f"axe-core: {error}")
    return (folder / "axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page, axe, digits, tmp_path, scheme):
    Image.fromarray(digits[3, ..., 0]).save(tmp_path / "three.png")
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    page.execute_script(axe)
    script = """async () => (await axe.run(document)).violations.map(({ id, nodes }) =>
        [id, ...nodes.map(({ html }) => html)])"""
    for mode in ("draw", "new", "photo"):
        page.find_element(By.ID, f"to-{mode}").click()
        assert run(page, script) == [], mode
    upload(page, tmp_path / "three.png")
    wait(page, lambda: page.find_element(By.ID, "save-photo").is_displayed())
    assert run(page, script) == []
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


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
        np.asarray(each.resize((128, 72), Image.Resampling.BOX), float) for each in (shot, golden)
    )
    assert np.abs(a - b).mean() < 12


def test_another_image_after_any_seed(page):
    page.find_element(By.ID, "to-new").click()
    for given, following in (("5", "6"), ("-5", "1"), ("", "1"), ("999999", "0"), ("1e9", "0")):
        slide(page, "#seed", given)
        page.find_element(By.ID, "random").click()
        assert page.find_element(By.ID, "seed").get_property("value") == following
