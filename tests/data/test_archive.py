"""folder:FILE.zip and folder:FILE.tar: read as the folder that they would unpack to."""

import gzip
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from alae_tf.data import DataError, absolute, archive, check, folder, open_source, source
from alae_tf.data.archive import KINDS
from tests.paths import ROOT

FILES = ("faces/dog/1.png", "faces/cat/deep/3.JPG", "faces/cat/2.png")
SIDES = ("__MACOSX/faces/cat/._2.png", "faces/.hidden/x.png", "faces/cat/._2.png")


def image(value=7, size=(8, 8), kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", size, (value,) * 3).save(file, kind)
    return file.getvalue()


def pack(path, files):
    """Writes an archive of (name, bytes or a link's target)."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            for name, data in files:
                info = zipfile.ZipInfo(name)
                if isinstance(data, str):
                    info.external_attr = (stat.S_IFLNK | 0o777) << 16
                out.writestr(info, data)
    else:
        with tarfile.open(path, "w") as out:
            for name, data in files:
                info = tarfile.TarInfo(name)
                if isinstance(data, str):
                    info.type, info.linkname = tarfile.SYMTYPE, data
                info.size = 0 if isinstance(data, str) else len(data)
                out.addfile(info, None if isinstance(data, str) else io.BytesIO(data))
    return path


@pytest.fixture(params=["faces.zip", "faces.TAR"])
def path(request, tmp_path):
    return tmp_path / request.param


def good(value):
    return image(value, kind="PNG")


def test_the_same_as_the_folder_that_it_unpacks_to(path, tmp_path, capsys):
    names = [f"faces/{'ab'[k % 2]}/{k}.png" for k in range(20)]
    files = [(name, good(k)) for k, name in enumerate(names)]
    files += [(name, b"no image") for name in SIDES]
    files += [("faces/a/x.heic", b""), ("faces/notes.txt", b"text"), ("faces/a/bad.png", b"bad")]
    pack(path, files)
    shutil.unpack_archive(path, tmp_path / "out", path.suffix.lower()[1:])
    options = "?channels=1&test=0.2&labels=folders"
    packed = open_source(f"folder:{path}{options}")
    said = capsys.readouterr().err
    plain = open_source(f"folder:{tmp_path}/out/faces{options}")
    assert said.replace(str(path), "") == capsys.readouterr().err.replace(
        f"{tmp_path}/out/faces", ""
    )
    assert "1 of 21 images" in said and "1 .heic" in said
    for one, other in ((packed, plain), (packed.held_out, plain.held_out)):
        assert one.files == other.files and len(one) > 0
        assert one.class_names == ["a", "b"] and one.labels.tolist() == other.labels.tolist()
        assert one.sizes.tolist() == other.sizes.tolist() and one.channels == 1
        for index in range(len(one)):
            np.testing.assert_array_equal(one.image(index), other.image(index))
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix] == [path.name]


def test_names_are_only_names(path, capsys):
    names = ["/abs/1.png", "../../up/2.png", "./a/../b/3.png", "b/4.png", "./b//4.png"]
    pack(path, [(name, good(k)) for k, name in enumerate(names)])
    source = open_source(f"folder:{path}")
    assert source.files == ["abs/1.png", "b/3.png", "b/4.png", "up/2.png"]
    assert source.image(2)[0, 0, 0] == 4  # the last of its name
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"folder:{path}: 1 names") and "b/4.png" in line


def test_links_are_ignored_and_counted(path, capsys):
    pack(path, [("a/1.png", good(1)), ("a/2.png", "1.png"), ("b", "a"), ("/c.png", "/etc/passwd")])
    assert open_source(f"folder:{path}").files == ["a/1.png"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "3 links" in line and "a/2.png" in line


def test_classes_of_a_held_out_archive_with_a_single_folder(path, tmp_path):
    pack(path, [(name, image(1, kind="JPEG" if "JPG" in name else "PNG")) for name in FILES])
    other = pack(tmp_path / "other.zip", [("x/dog/9.png", good(9))])
    source = open_source(f"folder:{path}?labels=folders&test={other}")
    assert source.files == ["cat/2.png", "cat/deep/3.JPG", "dog/1.png"]
    assert source.labels.tolist() == [0, 0, 1]
    assert source.held_out.files == ["dog/9.png"] and source.held_out.labels.tolist() == [1]
    with pytest.raises(DataError, match=f"{path}"):
        open_source(f"folder:{path}?test={path}")


def test_headers_alone_are_read_from_many_files(path, monkeypatch, capsys):
    monkeypatch.setattr(folder, "DECODE_ALL", 1)
    monkeypatch.setattr(archive, "HEAD", 64)
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
    files = {}
    for kind in ("PNG", "TIFF"):  # of a TIFF, the size may stand at the end
        file = io.BytesIO()
        Image.fromarray(noise).save(file, kind)
        files[f"{kind}.{kind}"] = file.getvalue()
    files["cut.png"] = files["PNG.PNG"][:100]
    pack(path, files.items())
    source = open_source(f"folder:{path}")
    assert source.sizes.tolist() == [[48, 64]] * 3 and source.skipped == 0
    np.testing.assert_array_equal(source.image(0), noise)
    np.testing.assert_array_equal(source.image(1), noise)
    source.image(2)
    assert source.skipped == 1 and "cut.png" in capsys.readouterr().err


def test_bombs_are_left_out(path, monkeypatch, capsys):
    monkeypatch.setattr(archive, "MOST_BYTES", 10_000)
    bomb = good(0) + bytes(20_000)
    pack(
        path, [("a/bytes.png", bomb), ("a/pixels.png", image(0, (100, 101))), ("a/1.png", good(3))]
    )
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_999)
    assert open_source(f"folder:{path}").files == ["a/1.png"]
    said = capsys.readouterr().err
    assert "2 of 3 images" in said and "bytes.png" in said and "pixels.png" in said


def values(source, indices):
    return [int(source.image(index)[0, 0, 0]) for index in indices]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of processes with threads
def test_many_threads_and_forked_processes_read_at_once(path):
    count, rounds = 40, 5
    pack(path, [(f"a/{k:02}.png", image(k, (40, 40))) for k in range(count)])
    source = open_source(f"folder:{path}")
    everything = list(range(count)) * rounds
    children = []
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(everything).tolist()
        process = os.fork()
        if process == 0:
            os._exit(0 if values(source, shuffled) == shuffled else 1)
        children.append(process)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda start: values(source, range(start, count)), range(count)))
    assert parts == [list(range(start, count)) for start in range(count)]
    assert [os.waitpid(process, 0)[1] for process in children] == [0, 0, 0]


def test_one_that_goes_away(path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    pack(path, [("a/1.png", file.getvalue())])
    source = open_source(f"folder:{path}")
    with open(path, "r+b") as file:
        file.truncate(20)
    path.rename(path.with_name("gone"))
    with pytest.raises(DataError, match=str(path)):
        source.image(0)


@pytest.mark.parametrize("keep", [0, 100, 700, -100])
def test_a_damaged_one(path, keep, capsys):
    pack(path, [(f"a/{k}.png", good(k)) for k in range(9)])
    path.write_bytes(path.read_bytes()[:keep])
    if path.suffix == ".TAR" and keep == -100:  # only a part of the padding is lost
        assert len(open_source(f"folder:{path}")) == 9
        return
    with pytest.raises(DataError, match=f"{path} is damaged"):
        open_source(f"folder:{path}")


def test_damage_in_the_middle(path, capsys):
    pack(path, [(f"a/{k}.png", good(k)) for k in range(9)])
    data = bytearray(path.read_bytes())
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as file:
            start = file.getinfo("a/4.png").header_offset
        data[start + 40 : start + 60] = bytes(20)
        path.write_bytes(data)
        assert len(open_source(f"folder:{path}")) == 8
        assert "a/4.png" in capsys.readouterr().err
        return
    data[4 * 1024 : 4 * 1024 + 100] = b"x" * 100  # the header of a/4.png
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"{path} is damaged.* 4,096"):
        open_source(f"folder:{path}")


def test_a_tar_without_an_end(tmp_path, capsys):
    path = pack(tmp_path / "a.tar", [(f"a/{k}.png", good(k)) for k in range(3)])
    path.write_bytes(path.read_bytes()[: 3 * 1024])
    assert len(open_source(f"folder:{path}")) == 3
    assert "end mark" in capsys.readouterr().err


def test_a_tar_with_a_negative_size(tmp_path):
    info = tarfile.TarInfo("a/1.png")
    header = bytearray(info.tobuf())
    header[124:136] = b"\xff" * 10 + (-1024 % 65536).to_bytes(2)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(DataError, match=f"{path} is damaged"):
        open_source(f"folder:{path}")


def test_an_encrypted_zip(tmp_path):
    path = pack(tmp_path / "a.zip", [("a/1.png", good(1))])
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(magic) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"{path} is encrypted .*a/1.png"):
        open_source(f"folder:{path}")


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar"])
def test_a_compressed_tar_is_refused(tmp_path, name):
    plain = pack(tmp_path / "plain.tar", [("a/1.png", good(1))])
    (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(DataError, match=f"{tmp_path / name} is .*[uU]npack it"):
        open_source(f"folder:{tmp_path / name}")


def test_archives_without_images(path):
    pack(path, [("a.txt", b"x"), ("b.mov", b"x")])
    with pytest.raises(DataError, match=f"{path}.*1 .mov"):
        open_source(f"folder:{path}")


def test_an_archive_of_links_alone_says_so(path, capsys):
    pack(path, [("a.png", "/etc/passwd")])
    with pytest.raises(DataError, match=f"{path}"):
        open_source(f"folder:{path}")
    assert "1 links" in capsys.readouterr().err


def test_uris_of_archives(path, monkeypatch):
    assert tuple(KINDS) == source.ARCHIVES
    pack(path, [("a/1.png", good(1))])
    check(f"folder:{path}")
    with pytest.raises(DataError, match=f"mean folder:{path}\\?"):
        open_source(str(path))
    with pytest.raises(DataError, match="archive"):
        check(f"idx:{path}")
    assert absolute(f"folder:{path.name}?test=0.1", path.parent) == f"folder:{path}?test=0.1"


@pytest.mark.slow
def test_every_command_takes_one(tmp_path):
    """A run on a .zip, continued, measured and with directions; and the .zip prepared."""
    files = [(f"set/{'ab'[k % 2]}/{k:02}.png", image(5 * k)) for k in range(40)]
    pack(tmp_path / "set.zip", files)
    uri, run_dir = "--data=folder:set.zip?test=0.2&labels=folders&channels=1", "--run_dir=run"

    def alae(command, *flags):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-m", f"alae_tf.{command}", *flags]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    smoke = f"--flagfile={ROOT / 'configs/smoke.cfg'}"
    size = ("--batch_by_level=8", "--log_images=8", "--sample_images=64", "--epochs_by_level=1")
    alae("train", smoke, uri, run_dir, *size, "--epochs=2")
    assert "64" in alae("train", smoke, uri, run_dir, *size, "--epochs=3")  # continued
    alae("evaluate", run_dir, "--metrics=latent_cycle,representation")
    alae("directions", run_dir, uri, "--labels=folders", "--out=directions.json")
    alae("prepare", uri, "--out=prepared", "--max_resolution=8")
    assert len(open_source(f"tfrecord:{tmp_path}/prepared").held_out) > 0
