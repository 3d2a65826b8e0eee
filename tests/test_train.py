"""The command, in new processes: its files, kills, signals and wrong input."""

import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import alae_tf
import alae_tf.train
from alae_tf.config import Config
from alae_tf.evaluation import registry
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory
from alae_tf.training import loop
from tests.helpers.fakes import Images, noise
from tests.paths import ROOT

SMOKE = [
    f"--flagfile={ROOT}/configs/smoke.cfg",
    "--checkpoint_minutes=0.0001",
    "--batch_by_level=8",
]


def start(run_dir, *flags):
    command = [sys.executable, "-m", "alae_tf.train", *SMOKE, f"--run_dir={run_dir}", *flags]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )


def run(run_dir, *flags):
    process = start(run_dir, *flags)
    return process.communicate(timeout=300)[0], process.returncode


def newest(run_dir):
    paths = checkpoint.list_checkpoints(run_dir)
    return int(paths[-1].stem.removeprefix("images-")) if paths else -1


def wait_for(process, run_dir, images):
    deadline = time.monotonic() + 900
    while newest(run_dir) < images:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run: level 0 to 450 images, level 1 to 900."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    output, code = run(run_dir)
    assert code == 0, output
    return run_dir, output


def same_end(run_dir, whole):
    ours, theirs = checkpoint.read_newest(run_dir)[1], checkpoint.read_newest(whole)[1]
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_what_a_run_leaves(whole):
    run_dir, output = whole
    assert "1-nearest-neighbour accuracy on E(x)" in output
    assert newest(run_dir) == 904  # the first multiple of 8 from 900 on, after 456
    assert (run_dir / "samples" / "images-000000000904.png").stat().st_size > 1000
    assert (run_dir / "losses.png").stat().st_size > 1000
    assert list((run_dir / "tensorboard").glob("events*"))
    rows = RunDirectory(run_dir).metrics.rows()
    assert [row["level"] for row in rows] == ["0"] * 4 + ["1"] * 5
    assert not list(run_dir.rglob("*.partial"))


@pytest.mark.slow
def test_killed_at_each_level_and_resumed_ends_with_the_same_bits(whole, tmp_path):
    # In level 0, at its end (456 images), in level 1 while it fades in.
    for images in (100, 456, 600):
        process = start(tmp_path)
        wait_for(process, tmp_path, images)
        process.kill()
        process.communicate()
    output, code = run(tmp_path, "--resume=must")
    assert code == 0, output
    assert "continues after" in output
    same_end(tmp_path, whole[0])
    assert [row["images_seen"] for row in RunDirectory(tmp_path).metrics.rows()] == [
        row["images_seen"] for row in RunDirectory(whole[0]).metrics.rows()
    ]


@pytest.mark.slow
def test_killed_twenty_times_at_random_moments_it_loses_nothing_and_ends_equal(whole, tmp_path):
    moments = np.random.default_rng(0).uniform(0, 1, 20)
    begun = time.monotonic()
    run(tmp_path / "timed")
    seconds = time.monotonic() - begun
    runs, saved = 0, -1
    for moment in moments.tolist():
        run_dir = tmp_path / f"run{runs}"
        process = start(run_dir)
        try:
            process.communicate(timeout=moment * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        assert newest(run_dir) >= saved
        for path in checkpoint.list_checkpoints(run_dir):
            checkpoint.read(path)  # whole
        saved = newest(run_dir)
        if process.returncode == 0:  # the run ended before its kill: start another run
            same_end(run_dir, whole[0])
            runs, saved = runs + 1, -1
    run_dir = tmp_path / f"run{runs}"
    output, code = run(run_dir)
    assert code == 0, output
    same_end(run_dir, whole[0])


@pytest.mark.slow
def test_the_quickstart_learns_to_tell_digits_apart(tmp_path):
    command = [sys.executable, "-m", "alae_tf.train", "--flagfile=configs/quickstart.cfg"]
    done = subprocess.run(
        [*command, f"--run_dir={tmp_path / 'run'}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"accuracy on E\(x\): ([\d.]+) %", done.stdout)[1]) >= 88.0


@pytest.mark.slow
def test_sigterm_saves_and_a_torn_checkpoint_is_survived(whole, tmp_path):
    process = start(tmp_path)
    wait_for(process, tmp_path, 40)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "stopped by SIGTERM. The checkpoint at" in output
    torn = checkpoint.list_checkpoints(tmp_path)[-1]
    torn.write_bytes(torn.read_bytes()[:1000])
    output, code = run(tmp_path)
    assert code == 0, output
    assert f"{torn.name}: not a whole checkpoint" in output
    same_end(tmp_path, whole[0])


def test_few_held_out_images_are_measured_with_as_many_generated_ones_as_asked(
    tmp_path, monkeypatch
):
    protocols = []
    monkeypatch.setattr(
        registry, "evaluate", lambda m, s, n, how, *_, **__: protocols.append(how) or []
    )

    def begun(config, directory, resume, finished, make_measure):
        measure, _ = make_measure(Images(noise(9), held_out=Images(noise(3))))
        measure(None)
        return 0

    monkeypatch.setattr(loop, "train", begun)
    flags = ["--evaluate_metrics=latent_cycle", "--evaluate_count=20"]
    assert alae_tf.train.main([*SMOKE, f"--run_dir={tmp_path}/run", *flags]) == 0
    (how,) = protocols
    assert (how.split, how.images, how.generated) == ("test", 20, 20)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    output, code = run(tmp_path, "--learning_rate_by_level=1e30")
    assert code == 1
    assert "loss_" in output and "nan" in output, output
    assert newest(tmp_path) == 0


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--lvels=3", "--lvels"),
        ("--flagfile=none.cfg", "--flagfile=none.cfg"),
        (f"--flagfile={ROOT}/docs/pictures/quickstart.png", "pictures/quickstart.png"),
        ("--levels=x", "--levels=x"),
        ("--image_channels=3", "--image_channels=1"),
        ("--data=folder:/nowhere", "--data=folder:/nowhere"),
        ("--data=digits", "--data=digits"),
        ("--resume=must", "--resume=must"),
        ("--run_dir=", "--run_dir"),
        ("here", "'here'"),
    ],
)
def test_errors_name_the_flag_and_nothing_is_written(tmp_path, flag, named):
    output, code = run(tmp_path / "run", flag)
    assert code == 2, output
    assert named in output
    assert "Traceback" not in output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("ending", ["", "?channels=3"])
def test_a_folder_in_colour_for_a_grey_model(tmp_path, ending):
    (tmp_path / "images").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "images/one.png")
    data = f"--data=folder:{tmp_path}/images"
    output, code = run(tmp_path / "run", data + ending)
    assert code == 2, output
    assert "--image_channels=3" in output and f"{data}?channels=1" in output


@pytest.mark.slow
def test_a_run_that_ends_with_a_level_below_the_top_shows_that_level_whole(tmp_path):
    output, code = run(tmp_path, "--levels=3", "--epochs=0.2")  # level 1 ends at 900 images
    assert code == 0, output
    model = alae_tf.load_model(tmp_path)
    assert (model.level, model.blend, model.resolution) == (1, 1.0, 8)


def test_other_images_in_a_resumed_run(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    (tmp_path / "images").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "images" / "one.png")
    data = f"--data=folder:{tmp_path}/images?channels=1"
    before = (tmp_path / "run" / "config.cfg").read_bytes()
    output, code = run(tmp_path / "run", data, "--epochs=1")
    assert code == 2, output
    assert data in output
    assert (tmp_path / "run" / "config.cfg").read_bytes() == before


def test_help_explains_every_setting():
    command = [sys.executable, "-m", "alae_tf.train", "--help"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    for name in [*Config().to_flagfile().split(), "--run_dir"]:
        flag = name.removeprefix("--").partition("=")[0]
        assert f"--{flag}" in output or f"--[no]{flag}" in output, flag


def test_another_config_in_the_run_directory(whole):
    before = newest(whole[0])
    output, code = run(whole[0], "--latent_size=9")
    assert code == 2
    assert "latent_size: 8" in output
    assert newest(whole[0]) == before
