"""The wheel is complete, installs one package, and works without the clone."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

import alae_tf
from tests.paths import ROOT


def copied() -> list[str]:
    """Names of the files that the Dockerfile copies from the clone to build the wheel."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    return [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    for name in copied():  # building writes beside the sources
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--no-index", "--wheel-dir=out", "."], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "out").iterdir()
    return path


def test_its_contents(wheel):
    assert wheel.name == f"alae_tf-{alae_tf.__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "alae_tf").rglob("*.py")}
    expected |= {f"alae_tf/export/{path.name}" for path in (ROOT / "export").glob("*.py")}
    expected |= {f"alae_tf/configs/{path.name}" for path in (ROOT / "configs").glob("*.cfg")}
    expected |= {f"alae_tf/export/page/{path.name}" for path in (ROOT / "export/page").iterdir()}
    models = [path for path in (ROOT / "models").rglob("*") if path.is_file()]
    expected |= {f"alae_tf/{path.relative_to(ROOT)}" for path in models}
    expected |= {"alae_tf/py.typed", "alae_tf/training/report_page.html"}
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == expected
    text = zipfile.ZipFile(wheel).read(f"alae_tf-{alae_tf.__version__}.dist-info/entry_points.txt")
    assert b"alae = alae_tf.__main__:main" in text


def test_dockerignore_allows_exactly_the_files_that_the_dockerfile_copies():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    assert allowed == set(copied())


@pytest.mark.slow
def test_it_works_alone_in_an_empty_folder(wheel, tmp_path):
    """Trains a shipped config, loads the run and exports it, without the clone."""
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index"]
    subprocess.run([*install, f"--target={site}", str(wheel)], check=True, capture_output=True)

    def run(*command):
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    alae = str(site / "bin" / "alae")
    where = run(sys.executable, "-c", "import alae_tf.export as e; print(e.__file__)").strip()
    assert where == str(site / "alae_tf" / "export" / "__init__.py")
    run(alae, "train", "--flagfile=configs/smoke.cfg", "--run_dir=run")
    shape = "import alae_tf; print(alae_tf.load_model('run').generate(2).shape)"
    assert run(sys.executable, "-c", shape).split() == ["(2,", "8,", "8,", "1)"]
    float32 = ["--formats=tflite", "--quantize=none"]
    said = run(alae, "export", "--run_dir=run", "--out=exported", *float32)
    assert "encoder.tflite" in said
    assert (empty / "exported" / "decoder.tflite").is_file()
