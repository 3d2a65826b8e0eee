"""folder:DIR, with good and bad files."""

import errno
import importlib.machinery
import os
import sys
import types

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from alae_tf.data import DataError, Subset, all_images, check, folder, open_source
from alae_tf.images import read
from alae_tf.images.files import ImageError, find


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


def test_every_format_that_commands_read(tmp_path, capsys):
    for name in ("a.bmp", "b.gif", "c.jfif", "d.jpe", "e.tif", "f.TIFF", "g.png"):
        kind = {"c": "JPEG", "d": "JPEG"}.get(name[0])
        Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / name, kind)
    source = open_source(f"folder:{tmp_path}")
    assert len(source) == 7 and {source.image(k)[0, 0, 0] for k in range(7)} == {9}
    assert [path.name for path in find([tmp_path])] == source.files
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("images", [0, 1])
def test_files_of_other_types_are_counted(tmp_path, capsys, images):
    for name in ("1.heic", "2.HEIC", "3.avif", "4", "labels.csv", ".hidden.heic"):
        (tmp_path / name).touch()
    for number in range(images):
        save(tmp_path / f"{number}.png", "red")
    said = ""
    for open_folder, error in ((open_source, DataError), (find, ImageError)):
        argument = f"folder:{tmp_path}" if open_folder is open_source else [tmp_path]
        if images:
            open_folder(argument)
            said = capsys.readouterr().err
        else:
            with pytest.raises(error) as raised:
                open_folder(argument)
            said = str(raised.value)
        assert "2 .heic" in said and "1 .avif" in said and "pillow-heif" in said
        assert ".csv" not in said


def test_heic_is_read_where_its_reader_is_installed(tmp_path, monkeypatch):
    """With a stand-in for pillow-heif, which registers a PNG reader under its name."""
    opener = types.SimpleNamespace(
        __spec__=importlib.machinery.ModuleSpec("pillow_heif", None),
        register_heif_opener=lambda: Image.register_open("HEIF", PngImagePlugin.PngImageFile),
    )
    monkeypatch.setitem(sys.modules, "pillow_heif", opener)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.heic", "PNG")
    read.reads_heif.cache_clear()
    try:
        assert open_source(f"folder:{tmp_path}").files == ["a.heic"]
    finally:
        read.reads_heif.cache_clear()


def test_hidden_and_side_folders_hold_neither_images_nor_classes(tmp_path, capsys):
    sides = ".ipynb_checkpoints __MACOSX @eaDir @tmp .git .thumbnails cat/.hidden".split()
    for folder_ in ("cat", "dog", *sides):
        save(tmp_path / folder_ / "a.png", "red")
    save(tmp_path / "cat/._a.png", "red")  # what macOS writes beside files on foreign disks
    source = open_source(f"folder:{tmp_path}?labels=folders")
    assert source.class_names == ["cat", "dog"] and source.files == ["cat/a.png", "dog/a.png"]
    assert [path.parent.name for path in find([tmp_path])] == ["cat", "dog"]
    assert len(open_source(f"folder:{tmp_path}/.git")) == 1  # named by the user
    assert capsys.readouterr().err == ""


def test_channels_on_request(tmp_path):
    save(tmp_path / "a.png", "red")
    assert open_source(f"folder:{tmp_path}?channels=1").image(0)[0, 0].tolist() == [76]
    assert all_images(open_source(f"folder:{tmp_path}?channels=1"), 4).shape == (1, 4, 4, 1)
    with pytest.raises(DataError, match="channels=2"):
        open_source(f"folder:{tmp_path}?channels=2")


def test_images_of_another_directory_are_held_out(tmp_path):
    for place, value in (("a", 1), ("b", 2), ("a/b", 3)):
        (tmp_path / place).mkdir()
        Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / place / "x.png")
    for uri in ("folder:{}/a?test={}/b", "folder:{}/a?channels=1&test={}/b"):
        source = open_source(uri.format(tmp_path, tmp_path))
        assert [source.image(0)[0, 0, 0], source.held_out.image(0)[0, 0, 0]] == [3, 2]
        assert source.held_out.channels == source.channels
    for train, test in (("a", "a/b"), ("a/b", "a"), ("a", "a")):
        with pytest.raises(DataError, match=f"{tmp_path}/a"):
            open_source(f"folder:{tmp_path}/{train}?test={tmp_path}/{test}")
    with pytest.raises(DataError, match=f"{tmp_path}/c "):
        open_source(f"folder:{tmp_path}/a?test={tmp_path}/c")


def test_a_share_held_out_stays_the_same_when_images_are_added(tmp_path):
    for number in range(40):
        save(tmp_path / f"{'ab'[number % 2]}/{number}.png", (number,) * 3)
    uri = f"folder:{tmp_path}?test=0.25&labels=folders"
    source = open_source(uri)
    names = [f"a/{k}.png" for k in (0, 20, 8)]
    names += [f"b/{k}.png" for k in (21, 23, 25, 29, 31, 37, 39)]
    assert source.held_out.files == names
    assert len(source) == 30 and not {*names} & {*source.files}
    assert [part.image(3)[0, 0, 0] for part in (source, source.held_out)] == [16, 21]
    assert source.held_out.labels.tolist() == [0] * 3 + [1] * 7
    assert len(source.labels) == len(source.sizes) == 30
    save(tmp_path / "a/new.png", "red")
    more = open_source(uri)
    assert {*source.files} < {*more.files} | {*more.held_out.files}
    assert not {*source.files} & {*more.held_out.files} and not {*names} & {*more.files}
    larger = open_source(uri.replace("0.25", ".5"))
    assert {*names} < {*larger.held_out.files}
    assert open_source(f"folder:{tmp_path}/a?test={tmp_path}/b").held_out.files[0] == "1.png"


def test_a_damaged_image_is_not_replaced_by_a_held_out_one(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "DECODE_ALL", 0)
    for number in range(40):
        save(tmp_path / f"{number}.png", (number,) * 3)
    source = open_source(f"folder:{tmp_path}?test=0.25")
    first, second = source.files[3:5]
    cut(tmp_path / first)
    assert f"{source.image(3)[0, 0, 0]}.png" == second
    assert (source.skipped, source.held_out.skipped) == (1, 0)


@pytest.mark.parametrize("share", ["0.0", "1.5", "-0.1", "0.001", "0.999"])
def test_a_share_that_leaves_one_side_empty(tmp_path, share):
    for number in range(9):
        save(tmp_path / f"{number}.png", "red")
    with pytest.raises(DataError, match=f"--data=.*: test={share}"):
        open_source(f"folder:{tmp_path}?test={share}")


def test_a_share_that_leaves_less_than_a_batch(tmp_path):
    for number in range(40):
        save(tmp_path / f"{number}.png", "red")
    source = open_source(f"folder:{tmp_path}?test=0.25")
    source.check_batch(len(source))
    with pytest.raises(DataError, match=f"test=0.25: .*{len(source)} .*--batch_by_level"):
        source.check_batch(len(source) + 1)
    open_source(f"folder:{tmp_path}").check_batch(41)  # a batch may repeat images


def test_folders_as_classes(tmp_path):
    for name in ("train/cat/2/a.png", "train/cat/b.png", "train/dog/a.png", "test/dog/c.png"):
        save(tmp_path / name, "red")
    uri = f"folder:{tmp_path}/train?labels=folders&test={tmp_path}/test"
    check(uri)
    source = open_source(uri)
    assert source.class_names == ["cat", "dog"]
    assert source.labels.tolist() == [0, 0, 1]
    assert source.held_out.labels.tolist() == [1]  # of the same names
    save(tmp_path / "test/cow/a.png", "red")
    with pytest.raises(DataError, match="cow .*cat, dog"):
        open_source(uri)
    save(tmp_path / "train/a.png", "red")
    for end, named in (
        ("train?labels=folders", "labels=folders: .*a.png"),
        ("train/dog?labels=folders", "labels=folders: .*a.png"),
        ("train?labels=names", "labels=names"),
    ):
        with pytest.raises(DataError, match=named):
            open_source(f"folder:{tmp_path}/{end}")
    save(tmp_path / "one/cat/a.png", "red")
    with pytest.raises(DataError, match="labels=folders: .*cat"):
        open_source(f"folder:{tmp_path}/one?labels=folders")


def test_corrupt_files_are_left_out_in_one_line(tmp_path, capsys):
    save(tmp_path / "good.png", "blue")
    (tmp_path / "a.png").write_bytes(b"not an image")
    cut(tmp_path / "sub/b.png")
    (tmp_path / "empty.jpg").touch()
    uri = f"folder:{tmp_path}"
    source = open_source(uri)
    assert source.files == ["good.png"] and source.skipped == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{uri}: 3 of 4 images")
    assert all(f"{name} (" in line for name in ("a.png", "empty.jpg", "sub/b.png"))  # and why
    assert str(tmp_path) not in line.removeprefix(uri)


def test_what_is_not_a_regular_file_is_left_out(tmp_path, capsys, monkeypatch):
    save(tmp_path / "good.png", "blue")
    os.mkfifo(tmp_path / "b.png")  # opening it would wait forever
    (tmp_path / "c.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "d.png").mkdir()
    for decode_all in (2000, 0):
        monkeypatch.setattr(folder, "DECODE_ALL", decode_all)
        source = open_source(f"folder:{tmp_path}")
        assert source.files == ["good.png"]
        said = capsys.readouterr().err
        assert "2 of 3 images" in said and "b.png (" in said and "c.png (" in said
    (tmp_path / "good.png").unlink()
    os.mkfifo(tmp_path / "good.png")
    with pytest.raises(DataError, match=f"{tmp_path}"):
        source.image(0)


def test_links_are_followed_and_each_directory_is_read_once(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    save(root / "z/a.png", "red")
    save(other / "deep/b.png", "green")
    save(tmp_path / "single.png", "blue")
    (root / "a").symlink_to(root / "z")  # the directory itself comes first, whatever its name
    (root / "link").symlink_to(other)
    (root / "z/loop").symlink_to(root)
    (other / "back").symlink_to(root / "z")
    (other / "again").symlink_to(other / "deep")
    (root / "single.png").symlink_to(tmp_path / "single.png")
    assert open_source(f"folder:{root}").files == ["link/deep/b.png", "single.png", "z/a.png"]
    whole = tmp_path / "whole"
    whole.symlink_to(root)
    assert open_source(f"folder:{whole}").files == ["link/deep/b.png", "single.png", "z/a.png"]


def test_directories_that_cannot_be_entered_are_reported(tmp_path, capsys, monkeypatch):
    save(tmp_path / "a.png", "red")
    save(tmp_path / "closed/b.png", "red")
    scan = os.scandir

    def scandir(path):  # as for users other than root
        if path.endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert open_source(f"folder:{tmp_path}").files == ["a.png"]
    assert "1 directories" in (said := capsys.readouterr().err) and ": closed\n" in said


def test_names_that_are_not_utf_8_and_cannot_drive_the_terminal(tmp_path, capsys):
    root = tmp_path / os.fsdecode(b"sch\xf6n \x1b[31m")
    save(root / os.fsdecode(b"\xff.png"), "red")
    (root / os.fsdecode(b"\xfe.png")).touch()
    source = open_source(f"folder:{root}")
    assert source.image(0).shape == (8, 8, 3)
    said = capsys.readouterr().err
    assert r"sch\udcf6n \x1b[31m: 1 of 2 images" in said and "out: \\udcfe.png (" in said


@pytest.mark.parametrize("path", ["x" * 5000, "~nosuchuser/photos"], ids=["long", "user"])
@pytest.mark.parametrize("scheme", ["folder", "idx", "tfrecord"])
def test_paths_that_cannot_be(scheme, path):
    with pytest.raises(DataError, match=f"--data={scheme}:"):
        open_source(f"{scheme}:{path}")


def test_small_and_elongated_images_are_reported(tmp_path, capsys):
    save(tmp_path / "a.png", "red", (1, 1))
    save(tmp_path / "b.png", "red", (2000, 2))
    save(tmp_path / "c.png", "red", (16, 64))
    uri = f"folder:{tmp_path}"
    open_source(uri).warn_about_sizes(16)
    small, long = capsys.readouterr().err.splitlines()
    assert small.startswith(f"{uri}: 2 of 3 images") and "a.png (1x1), b.png (2000x2)" in small
    assert long.startswith(f"{uri}: 1 of 3 images") and long.endswith(": b.png (2000x2)")
    for number in range(7):
        save(tmp_path / f"d{number}.png", "red", (64, 15))
    source = open_source(uri)
    Subset(source, np.arange(3)).warn_about_sizes(16)
    said = capsys.readouterr().err
    assert "8 of 10 images" in said and "d3.png (64x15), …\n" in said
    (tmp_path / "a.png").unlink()
    (tmp_path / "b.png").unlink()
    open_source(uri).warn_about_sizes(15)
    assert "smaller" not in capsys.readouterr().err


def test_a_decompression_bomb_is_left_out(tmp_path, capsys, monkeypatch):
    save(tmp_path / "bomb.png", "red", (100, 100))
    save(tmp_path / "good.png", "blue")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_999)
    assert open_source(f"folder:{tmp_path}").files == ["good.png"]
    assert "1 of 2 images" in capsys.readouterr().err


@pytest.mark.parametrize("decode_all", [0, 2000])
def test_folders_without_a_readable_image(tmp_path, decode_all, monkeypatch):
    monkeypatch.setattr(folder, "DECODE_ALL", decode_all)
    with pytest.raises(DataError, match=f"{tmp_path}/none"):
        open_source(f"folder:{tmp_path}/none")
    with pytest.raises(DataError, match=rf"{tmp_path}.*\*\.png, .*\*\.webp"):
        open_source(f"folder:{tmp_path}")
    cut(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"2 images .*a.png"):
        open_source(f"folder:{tmp_path}")


def test_a_file_found_damaged_later_is_replaced_by_the_next(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(folder, "DECODE_ALL", 3)  # as if four files were many
    save(tmp_path / "a.png", (1, 1, 1))
    cut(tmp_path / "b.png")
    cut(tmp_path / "c.png")
    save(tmp_path / "d.png", (4, 4, 4))
    source = open_source(f"folder:{tmp_path}")
    assert len(source) == 4 and source.skipped == 0
    assert all_images(source, 4)[:, 0, 0, 0].tolist() == [1, 4, 4, 4]
    assert all_images(source, 4)[:, 0, 0, 0].tolist() == [1, 4, 4, 4]
    assert source.skipped == 2
    lines = sorted(capsys.readouterr().err.splitlines())
    assert ["b.png" in lines[0], "c.png" in lines[1], len(lines)] == [True, True, 2]


def test_the_last_image_is_replaced_by_the_first(tmp_path, capsys):
    save(tmp_path / "a.png", (1, 1, 1))
    save(tmp_path / "b.png", (2, 2, 2))
    source = open_source(f"folder:{tmp_path}")
    (tmp_path / "b.png").unlink()
    assert np.unique(source.image(1)).tolist() == [1]
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=f"{tmp_path}"):
        source.image(0)


def test_images_that_go_are_named_a_few_times_and_a_folder_that_goes_at_once(tmp_path, capsys):
    for number in range(9):
        save(tmp_path / f"photos/{number}.png", (1, 1, 1))
    source = open_source(f"folder:{tmp_path}/photos")
    for number in range(5):
        (tmp_path / f"photos/{number}.png").unlink()
    assert source.image(0).shape == (8, 8, 3)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 5 and "4.png" in said[-1]
    assert source.skipped == 5
    (tmp_path / "photos").rename(tmp_path / "gone")
    with pytest.raises(DataError, match=f"{tmp_path}/photos"):
        source.image(8)
    assert source.skipped == 5 and capsys.readouterr().err == ""
    (tmp_path / "gone").rename(tmp_path / "photos")  # a network disk is back
    assert source.image(8).shape == (8, 8, 3)


def test_a_folder_that_loses_a_tenth_of_its_images_is_no_longer_what_it_was(tmp_path, capsys):
    for number in range(100):
        save(tmp_path / f"{number:02d}.png", (1, 1, 1))
    source = open_source(f"folder:{tmp_path}")
    for number in range(50):
        (tmp_path / f"{number:02d}.png").unlink()
    with pytest.raises(DataError, match="11 of 100 images .* 10.png .* 10%"):
        source.image(0)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 6
    assert "8 of 100 images" in said[-1]
