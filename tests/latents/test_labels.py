import os

import numpy as np
import pytest
from PIL import Image

from alae_tf.data import DataError, open_source
from alae_tf.latents import LatentError, labels


@pytest.fixture
def faces(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (len(name), 0, 0)).save(tmp_path / name)
    return open_source(f"folder:{tmp_path}")


def test_classes():
    source = open_source("mnist5k:")
    columns = labels.of(source, "classes")
    assert list(columns) == [str(digit) for digit in range(10)]
    assert (columns["3"] == (source.labels == 3)).all()


def test_folders(faces):
    columns = labels.of(faces, "folders")
    assert {name: list(values) for name, values in columns.items()} == {
        "a": [1, 1, 0],
        "b": [0, 0, 1],
    }


def test_names_that_two_images_have_are_not_guessed(tmp_path):
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    faces = open_source(f"folder:{tmp_path}")
    for row in ("1.png", "c/2.png"):
        (tmp_path / "l.csv").write_text(f"file,yaw\n{row},1\n")
        with pytest.raises(LatentError, match=f"l.csv: .*: {row}"):
            labels.of(faces, str(tmp_path / "l.csv"))
    (tmp_path / "l.csv").write_text("file,yaw\n2.png,1\nb/1.png,3\n")
    found = labels.of(faces, str(tmp_path / "l.csv"))["yaw"]
    np.testing.assert_array_equal(found, [np.nan, 3, 1])


def test_images_in_no_folder_have_no_folder(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    with pytest.raises(DataError, match="1.png"):
        labels.of(open_source(f"folder:{tmp_path}"), "folders")


def test_classes_by_name(tmp_path):
    for name in ("cat/1.png", "dog/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    source = open_source(f"folder:{tmp_path}?labels=folders")
    assert list(labels.of(source, "classes")) == ["cat", "dog"]


def test_a_csv_file_by_path_or_by_name(faces, tmp_path):
    (tmp_path / "l.csv").write_text("\ufefffile,yaw,words\nb/3.png,0.5,hello\n2.png,-1e0,\n\n")
    columns = labels.of(faces, str(tmp_path / "l.csv"))
    assert list(columns) == ["yaw"]  # one word is not a class
    np.testing.assert_array_equal(columns["yaw"], [np.nan, -1, 0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"file,yaw\nx.png,1\ny.png,2\nz.png,2\nv.png,2\n", "x.png, y.png, z.png …"),
        (b"file,yaw\n1.png\n", "row 2"),
        (b"file,yaw\n", "header"),
        (b"file\n1.png\n", "header"),
        (b"file,a,a\n1.png,1,2\n", "header"),
        (b"", "CSV"),
        (b"file,\xff\n", "CSV"),
        (b'file,a\n"1.png,2', "CSV"),
        (b"file,yaw\n1.png,left\n", "column"),
        (b"a/1.png 5\n2.png 7\n3.png 5\n", "header"),
        (b"1.png,5\n2.png,7\n3.png,5\n", "header"),
    ],
)
def test_csv_files_that_are_wrong(faces, tmp_path, text, message):
    (tmp_path / "l.csv").write_bytes(text)
    with pytest.raises(LatentError, match=f"l.csv.*{message}"):
        labels.of(faces, str(tmp_path / "l.csv"))


NAN = np.nan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (  # as CelebA has it, and faces that are kept as PNG
            "4\n5_o_Clock_Shadow Young \n1.jpg  1 -1\n2.jpg -1  1\n3.jpg -1 -1\n4.jpg 1  1\n",
            {"5_o_Clock_Shadow": [1, -1, -1], "Young": [-1, 1, -1]},
        ),
        ("3\nyaw\tn\n1.png\t1\t2\n2.png\t2\t3\n", {"yaw": [1, 2, NAN], "n": [2, 3, NAN]}),
        ("file yaw\na/1.png 1\n2 2\n", {"yaw": [1, 2, NAN]}),
        ("file;yaw;n\n1.png;0,5;1\n2.png;-1e0;2.5\n", {"yaw": [0.5, -1, NAN], "n": [1, 2.5, NAN]}),
        ("file\tyaw\n1.png\t0.5\nb/3.png\t2\n", {"yaw": [0.5, NAN, 2]}),
        ("\ufefffile, yaw\r\n1.png, 1\r\n\r\n3.png, 2\r\n", {"yaw": [1, NAN, 2]}),
        ('file,"a, b"\n1.png,1\n', {"a, b": [1, NAN, NAN]}),
        (
            "file,hair\n1.png,dark\n2.png,fair\n3.png,dark\n",
            {"hair=dark": [1, 0, 1], "hair=fair": [0, 1, 0]},
        ),
        ("file,n\n1.png,n/a\n2.png,7\n3.png,8\n", {"n": [NAN, 7, 8]}),
    ],
)
def test_tables_of_many_forms(faces, tmp_path, text, expected):
    (tmp_path / "l.csv").write_text(text, newline="")
    found = labels.of(faces, str(tmp_path / "l.csv"))
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_ignored_parts_are_counted(faces, tmp_path, capsys):
    rows = "1.png,a,x,,1\n2.png,b,x,,?\nelse.png,b,x,,2\n\x1b[2J,b,x,,2\n"
    (tmp_path / "l.csv").write_text(f"file,name,alike,empty,n\n{rows}")
    assert list(labels.of(faces, str(tmp_path / "l.csv"))) == ["n"]
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 6 and all(f"--labels={tmp_path}/l.csv" in line for line in err)
    assert "2 (else.png, \\x1b[2J)" in err[0] and "1 (b/3.png)" in err[1] and "1 (?)" in err[2]
    for line, name in zip(err[3:], ("name", "alike", "empty"), strict=True):
        assert line.endswith(f": {name}.") and "left out" in line


def test_the_sides_of_two_values():
    column = np.array([2, np.nan, 1, 2])
    assert list(labels.sides(column)) == [1, 0, -1, 1]
    assert labels.sides(np.array([1, 2, 3.0])) is None
    assert labels.sides(np.array([1, np.nan])) is None


def test_a_pipe_is_not_a_table(faces, tmp_path):
    os.mkfifo(tmp_path / "l.csv")
    with pytest.raises(LatentError, match="l.csv"):
        labels.of(faces, str(tmp_path / "l.csv"))


def test_labels_that_do_not_fit_the_data(faces, tmp_path):
    for source, what in (
        (faces, "classes"),
        (faces, "attribute:Smiling"),
        (faces, f"{tmp_path}/none.csv"),
        (open_source("mnist5k:"), "folders"),
        (open_source("mnist5k:"), "l.csv"),
    ):
        with pytest.raises(LatentError, match=f"^--labels={what}"):
            labels.of(source, what)
