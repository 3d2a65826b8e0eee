"""The commands in README: each runs, made small; no two trainings share a run directory."""

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from alae_tf.__main__ import COMMANDS as COMMAND_TABLE
from alae_tf.config import Config
from alae_tf.figures import KINDS
from tests.paths import GOLDENS, ROOT

README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^    ((?:make|python -m|alae) .*?)(?:  +#.*)?$", README, re.M)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)
PAGES = [ROOT / "README.md", ROOT / "BUILD.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Flags that make a command fast or avoid a download.
SMALL = {
    "configs/quickstart.cfg": ["--epochs=0.1", "--hidden_size=16"],
    "configs/mnist_style_small.cfg": ["--data=mnist5k:", "--epochs=0.02"],
    "configs/own_images_small.cfg": ["--epochs=2", "--epochs_by_level=2", "--batch_by_level=2"],
}


def test_each_training_has_a_run_directory_of_its_own():
    trainings = [command for command in COMMANDS if "alae_tf.train" in command]
    directories = [re.search(r"--run_dir=(\S+)", command)[1] for command in trainings]
    assert len(directories) >= 2
    assert len({*directories, "runs/quickstart"}) == len(directories) + 1  # and `make train`'s


def test_files_that_readme_names_exist():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target
    for config in re.findall(r"configs/\w+\.cfg", README):
        assert (ROOT / config).is_file(), config


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_flags_that_pages_name_exist(page):
    sources = [path.read_text() for name in ("alae_tf", "export") for path in files(name)]
    known = {field.name for field in dataclasses.fields(Config)} | {"flagfile", "help"}
    known |= {flag for kind in KINDS.values() for flag in kind.flags}
    for source in sources:
        known |= set(re.findall(r'"--(\w+)"', source))
    for line in page.read_text().replace("\\\n", " ").splitlines():
        if found := re.search(r"python -m (alae_tf|export)|\balae [a-z]", line):
            flags = re.findall(r"--(\w+)", line[found.start() :])
            flags = {flag.removeprefix("no") for flag in flags}
            assert flags <= known | {name.removeprefix("no") for name in known}, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_pages_exist_outside_a_clone(page):
    """The package `export` is `alae_tf.export` there."""
    text = page.read_text()
    assert not re.search(r"^ *python -m export", text, re.M)
    assert set(re.findall(r"^ +alae (\w\S*)", text, re.M)) <= COMMAND_TABLE.keys()


def files(name):
    return (ROOT / name).rglob("*.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clone with photos, a digit, and a file of the authors' weights."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("alae_tf", "configs", "export", "models", "tests"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    for i, photo in enumerate(pixels):
        Image.fromarray(photo).save(folder / "photos" / f"{i}.png")
    Image.fromarray(astronaut()).save(folder / "photos" / "face.png")
    Image.fromarray(pixels[0, :28, :28, 0]).save(folder / "digit.png")
    theirs = folder / "training_artifacts" / "ffhq"
    theirs.mkdir(parents=True)
    shutil.copy(GOLDENS / "official_style32_zip.pth", theirs / "model_157.pth")
    return folder


def run(folder, command):
    if command.startswith("make train"):
        command = (
            "python -m alae_tf.train --flagfile=configs/quickstart.cfg --run_dir=runs/quickstart"
        )
    if command.startswith("make demo"):
        command = "python -m export.demo --build"  # which it then would serve
    words = shlex.split(command)
    for config, flags in SMALL.items():
        if f"--flagfile={config}" in words:
            words += flags
    if "import" in words:  # the file is small, as its config must be
        words.remove("--config=configs/ffhq1024.cfg")
    words = [sys.executable, *(["-m", "alae_tf"] if words[0] == "alae" else []), *words[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_every_command_runs_in_order(folder):
    ran = [command for command in COMMANDS if not command.startswith("make test")]
    assert len(ran) >= 6
    for command in sorted(ran, key=lambda command: not command.startswith("make train")):
        run(folder, command)
    script = "\n".join(PYTHON) + "\nassert same.shape == (28, 28, 1) and new.shape[0] == 16\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
