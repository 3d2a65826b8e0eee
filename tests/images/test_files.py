import os

import numpy as np
import pytest
from PIL import Image

from alae_tf.images.files import ImageError, find, read_images


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    Image.new("RGB", (20, 10), (255, 0, 0)).save(tmp_path / "b.png")
    Image.new("L", (8, 8), 70).save(tmp_path / "sub/a.PNG")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_files_and_folders(folder):
    assert [path.name for path in find([folder])] == ["b.png", "a.PNG"]
    assert find([folder / "sub/a.PNG", folder])[0].name == "a.PNG"  # in the order named


def test_images_are_fitted_to_the_model(folder, capsys):
    images = read_images(find([folder]), 8, 3)
    assert images.shape == (2, 8, 8, 3)
    assert images[0, 0, 0].tolist() == [255, 0, 0] and images[1, 0, 0].tolist() == [70] * 3
    assert capsys.readouterr().err == ""
    grey = read_images(find([folder]), 8, 1)
    assert np.unique(grey[0]).tolist() == [76]  # 0.299 of red
    assert "1 of 2 images are in colour" in capsys.readouterr().err
    read_images(find([folder]), 16, 3)
    assert "2 of 2 images are smaller than 16 px" in capsys.readouterr().err


def test_what_is_not_an_image(folder):
    (folder / "empty").mkdir()
    (folder / "bad.png").write_bytes(b"\x89PNG\x1b[31m")
    os.mkfifo(folder / "pipe.png")
    for path in ("none.png", "empty", "pipe.png"):
        with pytest.raises(ImageError, match=f"{path}: "):
            find([folder / path])
    with pytest.raises(ImageError):
        find([])
    with pytest.raises(ImageError, match="bad.png: ") as error:
        read_images([folder / "bad.png"], 8, 3)
    assert "\x1b" not in str(error.value)
