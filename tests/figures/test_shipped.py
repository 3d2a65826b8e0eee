"""`alae reconstruct` and `alae generate`, commands that need no flags."""

import dataclasses
import sys

import pytest
from PIL import Image

from alae_tf.__main__ import main as alae
from alae_tf.figures import __main__ as figures
from alae_tf.images.read import read_image


@pytest.fixture
def given(monkeypatch):
    """The Figures and flags that the commands pass to a `draw` that draws nothing."""
    seen = []

    def draw(figure, **flags):
        seen.append((figure, flags))
        return b"picture"

    for name in ("reconstruct", "generate"):
        kind = figures.KINDS[name]
        monkeypatch.setitem(figures.KINDS, name, dataclasses.replace(kind, draw=draw))
    monkeypatch.setattr(figures, "model_folder", lambda: None)
    return seen


def test_photos_go_through_the_shipped_model_of_faces(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert figures.reconstruct(["a.jpg", "b.jpg", "--images", "c.jpg"]) == 0
    ((figure, flags),) = given
    assert (figure.run_dir, figure.align, figure.seed) == ("faces64", "lfw", 0)
    assert (figure.named, flags) == (["c.jpg", "a.jpg", "b.jpg"], {"mosaic": False})
    assert (tmp_path / "reconstructed.png").read_bytes() == b"picture"


@pytest.mark.parametrize(
    ("arguments", "align"),
    [
        (["--run_dir=models/faces64", "a.png"], "lfw"),
        (["--align=ffhq", "a.png"], "ffhq"),
        (["--run_dir=digits", "a.png"], None),  # other models take images as they are
        (["mnist5k:"], None),
        ([], None),
    ],
)
def test_files_alone_are_cropped_for_that_model_alone(given, tmp_path, arguments, align):
    assert figures.reconstruct([*arguments, f"--out={tmp_path}/b.png"]) == 0
    assert given[0][0].align == align


def test_new_images_by_default_of_faces(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert figures.generate(["--count=3"]) == 0
    ((figure, flags),) = given
    assert (figure.run_dir, figure.count) == ("faces64", 3)
    assert flags == {"psi": None, "noise": "const"}
    assert (tmp_path / "generated.png").is_file()
    with pytest.raises(SystemExit) as stop:
        figures.generate(["photo.jpg"])
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("command", "picture"),
    [("generate", "generated.png"), ("reconstruct digit.png", "reconstructed.png")],
)
def test_a_picture_in_one_line(command, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (28, 28), 0).save("digit.png")
    monkeypatch.setattr(sys, "argv", ["alae", *command.split(), "--run_dir=digits", "--count=1"])
    assert alae() == 0
    assert min(read_image(picture, 1).shape[:2]) >= 64


@pytest.mark.parametrize(
    ("name", "picture"), [("generate", "generated.png"), ("reconstruct", "reconstructed.png")]
)
def test_help_is_of_the_command(name, picture, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["alae", name, "--help"])
    with pytest.raises(SystemExit):
        alae()
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith(f"usage: alae {name} ")
    assert "Default: faces64" in text and f"Default: {picture}" in text
