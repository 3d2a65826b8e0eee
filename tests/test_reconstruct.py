"""The one-line doors: what they ask `alae_tf.figures` for."""

import pytest
from PIL import Image

from alae_tf import generate, reconstruct
from alae_tf.figures.__main__ import main, parse
from alae_tf.images.read import read_image


def test_photos_go_through_the_shipped_model_of_faces():
    args = parse(["a.jpg", "b.jpg", "--overwrite"], reconstruct.DOOR)
    assert (args.kind, args.run_dir, args.align) == ("reconstruct", "faces64", "lfw")
    assert (args.images, args.overwrite) == (["a.jpg", "b.jpg"], True)


def test_other_models_take_images_as_they_are():
    args = parse(["--run_dir=digits", "--out=b.png", "a.png"], reconstruct.DOOR)
    assert (args.run_dir, args.align, str(args.out)) == ("digits", None, "b.png")
    assert parse([], reconstruct.DOOR).images is None


def test_new_images_by_default_of_faces():
    args = parse(["--count=3"], generate.DOOR)
    assert (args.kind, args.run_dir, args.count) == ("generate", "faces64", 3)


@pytest.mark.parametrize("door", [generate, reconstruct])
def test_a_picture_in_one_line(door, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (28, 28), 0).save("digit.png")
    given = ["--run_dir=digits", "--count=1"]
    if door is reconstruct:
        given = [*given, "digit.png"]
    assert main(given, door.DOOR) == 0
    picture = "generated.png" if door is generate else "reconstructed.png"
    assert min(read_image(picture, 1).shape[:2]) >= 64


@pytest.mark.parametrize("door", [generate, reconstruct])
def test_help_is_of_the_door(door, capsys):
    with pytest.raises(SystemExit):
        main(["--help"], door.DOOR)
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m {door.DOOR.module} [-h] [--run_dir RUN_DIR]")
    assert f"the picture. Default: {door.DOOR.out}" in " ".join(text.split())
