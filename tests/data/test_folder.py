"""folder:DIR, with good and bad files."""

import os

import numpy as np
import pytest
from PIL import Image

from alae_tf.data import DataError, arrays, folder, open_source


def save(path, colour, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def cut(path, keep=60):
    """Leaves the header whole and the pixels cut short."""
    save(path, "white", (64, 64))
    path.write_bytes(path.read_bytes()[:keep])


def test_all_kinds_recursively_by_relative_path(tmp_path):
    for name in ["b/z.PNG", "a.JPEG", "c.webp", "b/a.jpg"]:
        save(tmp_path / name, (10, 10, 10))
    (tmp_path / "notes.txt").write_text("no image")
    source = open_source(f"folder:{tmp_path}")
    assert source.files == ["a.JPEG", "b/a.jpg", "b/z.PNG", "c.webp"]
    assert source.channels == 3 and source.labels is None and source.held_out is None
    assert source.image(2).tolist() == [[[10, 10, 10]] * 8] * 8
    assert source.skipped == 0


def test_channels_on_request(tmp_path):
    save(tmp_path / "a.png", "red")
    assert open_source(f"folder:{tmp_path}?channels=1").image(0)[0, 0].tolist() == [76]
    assert arrays(open_source(f"folder:{tmp_path}?channels=1"), 4).shape == (1, 4, 4, 1)
    with pytest.raises(DataError, match="channels=2 should be 1 or 3"):
        open_source(f"folder:{tmp_path}?channels=2")


def test_corrupt_files_are_left_out_in_one_line(tmp_path, capsys):
    save(tmp_path / "good.png", "blue")
    (tmp_path / "a.png").write_bytes(b"not an image")
    cut(tmp_path / "sub/b.png")
    (tmp_path / "empty.jpg").touch()
    uri = f"folder:{tmp_path}"
    source = open_source(uri)
    assert source.files == ["good.png"] and source.skipped == 3
    assert capsys.readouterr().err == (
        f"{uri}: 3 of 4 images cannot be read and are left out: a.png, empty.jpg, sub/b.png\n"
    )


def test_a_decompression_bomb_is_left_out(tmp_path, capsys, monkeypatch):
    save(tmp_path / "bomb.png", "red", (100, 100))
    save(tmp_path / "good.png", "blue")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_999)
    assert open_source(f"folder:{tmp_path}").files == ["good.png"]
    assert "1 of 2 images" in capsys.readouterr().err


@pytest.mark.parametrize("decode_all", [0, 2000])
def test_folders_without_a_readable_image(tmp_path, decode_all, monkeypatch):
    monkeypatch.setattr(folder, "DECODE_ALL", decode_all)
    with pytest.raises(DataError, match="none is not a directory"):
        open_source(f"folder:{tmp_path}/none")
    with pytest.raises(DataError, match=r"no image in .*\*\.png, \*\.jpg, \*\.jpeg, \*\.webp"):
        open_source(f"folder:{tmp_path}")
    cut(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"none of the 2 images .*\(a.png: .*At least one"):
        open_source(f"folder:{tmp_path}")


def test_a_file_found_damaged_later_is_replaced_by_the_next(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(folder, "DECODE_ALL", 3)  # as if four files were many
    save(tmp_path / "a.png", (1, 1, 1))
    cut(tmp_path / "b.png")
    cut(tmp_path / "c.png")
    save(tmp_path / "d.png", (4, 4, 4))
    source = open_source(f"folder:{tmp_path}")
    assert len(source) == 4 and source.skipped == 0
    assert arrays(source, 4)[:, 0, 0, 0].tolist() == [1, 4, 4, 4]
    assert arrays(source, 4)[:, 0, 0, 0].tolist() == [1, 4, 4, 4]
    assert source.skipped == 2
    lines = sorted(capsys.readouterr().err.splitlines())
    assert lines == [
        f"folder:{tmp_path}: {name} cannot be read; the next image replaces it"
        for name in ("b.png", "c.png")
    ]


def test_the_last_image_is_replaced_by_the_first(tmp_path, capsys):
    save(tmp_path / "a.png", (1, 1, 1))
    save(tmp_path / "b.png", (2, 2, 2))
    source = open_source(f"folder:{tmp_path}")
    (tmp_path / "b.png").unlink()
    assert np.unique(source.image(1)).tolist() == [1]
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="no image can be read any more"):
        source.image(0)


def test_links_to_directories_are_followed_once(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for path in [root / "own/a.png", elsewhere / "b.png", elsewhere / "deep/c.png"]:
        save(path, "red")
    (root / "copy").symlink_to(root / "own")  # sorts before what it links to
    (root / "more").symlink_to(elsewhere)
    (root / "more again").symlink_to(elsewhere)
    (elsewhere / "deep/loop").symlink_to(root)
    (elsewhere / "deep/self").symlink_to(elsewhere / "deep")
    (root / "nowhere").symlink_to(tmp_path / "none")
    assert open_source(f"folder:{root}").files == ["more/b.png", "more/deep/c.png", "own/a.png"]
    (tmp_path / "link").symlink_to(root)
    assert len(open_source(f"folder:{tmp_path}/link")) == 3


@pytest.mark.parametrize("decode_all", [0, 2000])
def test_what_is_no_regular_file_is_left_out(tmp_path, capsys, decode_all, monkeypatch):
    monkeypatch.setattr(folder, "DECODE_ALL", decode_all)
    save(tmp_path / "a.png", "red")
    os.mkfifo(tmp_path / "b.png")  # to open it would wait for a writer
    (tmp_path / "c.png").symlink_to(tmp_path / "none")
    save(tmp_path / "d.png", "red")
    source = open_source(f"folder:{tmp_path}")
    assert source.files == ["a.png", "d.png"]
    assert "2 of 4 images cannot be read and are left out: b.png, c.png" in capsys.readouterr().err
    (tmp_path / "a.png").unlink()
    os.mkfifo(tmp_path / "a.png")
    assert source.image(0).shape == (8, 8, 3)
