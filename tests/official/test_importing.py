"""The authors' checkpoints as runs: encode, export and further training take them."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import alae_tf
from alae_tf.config import Config, ConfigError
from alae_tf.data import open_source
from alae_tf.features.pytorch_file import read_pytorch
from alae_tf.networks.alae import build_alae
from alae_tf.official import goldens, importing
from alae_tf.official.__main__ import main
from alae_tf.official.weights import table
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory
from alae_tf.system.files import Lock
from alae_tf.training import loop
from export.formats import Options
from export.loading import load
from tests.helpers.pth_writer import Code, call, name, storage, tensor, write
from tests.paths import GOLDENS, ROOT

ZIP, LEGACY = (str(GOLDENS / f"official_style32_{kind}.pth") for kind in ("zip", "legacy"))
FORWARD = str(GOLDENS / "style32_forward.npz")
CONFIG = """--levels=4
--image_channels=3
--start_channels=4
--max_channels=16
--latent_size=8
--mapping_layers=3
--epochs_by_level=2
--batch_by_level=4
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("imported") / "run"
    assert main(["import", ZIP, f"--run_dir={run_dir}"]) == 0
    return run_dir


@pytest.fixture
def authors():
    """The authors' checkpoint, to be spoilt."""
    data = read_pytorch(ZIP).data
    return {"models": data["models"]}


def fails(capsys, path, run_dir, *flags):
    """The message of an import that fails, after which there is no run directory."""
    assert main(["import", str(path), f"--run_dir={run_dir}", *flags]) == 2
    assert not run_dir.exists()
    return capsys.readouterr().err


def newest(run_dir):
    return checkpoint.read_newest(run_dir)[1]


@pytest.mark.parametrize("path", [ZIP, LEGACY])
def test_a_run_of_the_authors_weights_gives_their_numbers(path, tmp_path, capsys):
    run_dir = tmp_path / "run"
    assert main(["import", path, f"--run_dir={run_dir}"]) == 0
    said = capsys.readouterr().out
    assert "read discriminator_s, generator_s, mapping_tl_s, mapping_fl_s, dlatent_avg: 109" in said
    assert "4 levels (32 px), 3 image channels, 4 to 16 channels, w of 8, 3 layers in F" in said
    assert "left out: discriminator, generator, mapping_tl, mapping_fl, auxiliary (" in said
    assert "objects of tracker.RunningMeanTorch" in said
    assert main(["verify", FORWARD, f"--run_dir={run_dir}"]) == 0
    errors = dict(goldens.verify(FORWARD, run_dir))
    assert len(errors) == 23
    assert max(errors.values()) < 1e-4


def test_trained_and_slow_weights_are_alike_and_the_optimizers_new(imported):
    entries = newest(imported)
    names = [name.removeprefix("alae/") for name in entries if name.startswith("alae/")]
    assert len(names) > 100
    for entry in names:
        np.testing.assert_array_equal(entries[f"alae/{entry}"], entries[f"ema/{entry}"])
    assert not any(entries[name].any() for name in entries if name.startswith("optimizer/"))


def test_raw_takes_the_other_weights(tmp_path, capsys, imported):
    run_dir = tmp_path / "run"
    assert main(["import", ZIP, f"--run_dir={run_dir}", "--which=raw"]) == 0
    assert "read discriminator, generator, mapping_tl, mapping_fl, dlatent_avg" in (
        capsys.readouterr().out
    )
    raw, slow = newest(run_dir), newest(imported)
    theirs = read_pytorch(ZIP).data["models"]["mapping_fl"]["map_blocks.0.fc.weight"]
    np.testing.assert_array_equal(raw["ema/F/dense.0/kernel"], theirs.T)
    assert not np.array_equal(raw["ema/F/dense.0/kernel"], slow["ema/F/dense.0/kernel"])
    np.testing.assert_array_equal(raw["ema/w_avg"], slow["ema/w_avg"])
    assert main(["verify", FORWARD, f"--run_dir={run_dir}"]) == 1


def test_python_and_export_take_it(imported):
    model = alae_tf.load_model(imported)
    image = np.zeros([32, 32, 3], np.uint8)
    assert model.encode(image).shape == (8,)
    assert model.reconstruct(image).shape == (32, 32, 3)
    assert load(Options(run_dir=imported))[0].resolution == 32
    assert load(Options(run_dir=imported, level=1))[0].resolution == 8


def checkpoint_of(path, config):
    """A checkpoint of the authors' layout with new weights; returns them and the path."""
    alae = build_alae(config)
    networks = {"E": "discriminator", "G": "generator", "D": "mapping_tl", "F": "mapping_fl"}
    networks["w_avg"] = "dlatent_avg"
    models = {network: {} for network in networks.values()}
    for entry in table(alae):
        letter, _, key = entry.name.partition("/")
        theirs = np.zeros(entry.shape, np.float32)
        if entry.variable is None:
            theirs[:] = np.outer([1, 2, 1], [1, 2, 1]) / 16
        else:
            theirs = entry.to_theirs(entry.variable.numpy(), theirs)
        models[networks[letter]][key] = theirs
    return alae, write(path, {"models": models})


@pytest.mark.slow
def test_the_command_trains_the_authors_weights_at_the_top_level(tmp_path):
    photos, run_dir = tmp_path / "photos", tmp_path / "run"
    photos.mkdir()
    pixels = np.random.default_rng(0).integers(256, size=[8, 32, 32, 3]).astype(np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(photos / f"{number}.png")
    config = tmp_path / "tiny.cfg"
    config.write_text(CONFIG)
    assert main(["import", ZIP, f"--run_dir={run_dir}", f"--config={config}"]) == 0
    assert Config.load(run_dir / "config.cfg") == Config.load(config)
    before = newest(run_dir)
    # Levels of 16 images: the top one starts at 48 and is faded in at 56, after 7 epochs.
    command = [sys.executable, "-m", "alae_tf.train", f"--flagfile={run_dir}/config.cfg"]
    command += [f"--run_dir={run_dir}", f"--data=folder:{photos}", "--epochs=8"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "imported weights, at level 3" in result.stderr
    assert "continues after 56 images" in result.stderr
    assert checkpoint.list_checkpoints(run_dir)[-1].name == "images-000000000064.npz"
    after = newest(run_dir)
    kernel = "G/blocks.3/conv_2/kernel"
    assert 0 < np.abs(after[f"alae/{kernel}"] - before[f"alae/{kernel}"]).max() < 0.1
    assert after[f"optimizer/t/{kernel}"] == 4  # two iterations, updates 2 and 3


@pytest.mark.slow
def test_an_imported_run_continues_like_any_other(small, tmp_path, capsys, monkeypatch):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    monkeypatch.setattr(loop, "make_strategy", lambda config: strategy)
    _, path = checkpoint_of(tmp_path / "grey.pth", small)
    flagfile = tmp_path / "small.cfg"
    flagfile.write_text(small.to_flagfile())
    run_dir = tmp_path / "run"
    flags = [f"--run_dir={run_dir}", "--which=raw", f"--config={flagfile}"]
    assert main(["import", path, *flags]) == 0

    def train(**changes):
        directory = RunDirectory(run_dir)
        try:
            return loop.train(small.replace(**changes), directory)
        finally:
            directory.close()

    size = len(open_source(small.data))
    half = 1.5 * round(0.02 * size) / size  # epochs until level 1 is faded in
    with pytest.raises(ConfigError, match="--epochs"):
        train(epochs=half)
    assert train(epochs=half + 0.002) == 0
    said = capsys.readouterr().err
    assert "imported weights" in said and f"continues after {round(half * size)} images" in said
    assert train(epochs=half + 0.004) == 0
    said = capsys.readouterr().err
    assert "imported weights" not in said and "continues after 151 images" in said
    state = checkpoint.read_newest(run_dir)[2]
    assert state["level"] == 1 and state["blend"] == 1.0 and state["dataset_size"] == size


def test_every_tensor_that_does_not_fit_is_listed(authors, tmp_path, capsys):
    generator = authors["models"]["generator_s"]
    constant = generator.pop("const")
    generator["more"] = constant
    generator["decode_block.0.bias_1"] = np.zeros([1, 9, 1, 1], np.float32)
    authors["models"]["dlatent_avg"]["buff"] = np.zeros([4, 16], np.float32)  # as many numbers
    kernel = np.ones([4, 1, 3, 3], np.float32)
    authors["models"]["discriminator_s"]["encode_block.0.blur.weight"] = kernel
    path = write(tmp_path / "bad.pth", authors)
    said = fails(capsys, path, tmp_path / "run")
    assert said.startswith(f"official: {path}: ")
    for line in (
        "missing: generator_s.const",
        "unknown: generator_s.more",
        "shape: generator_s.decode_block.0.bias_1 is [1, 9, 1, 1], expected [1, 16, 1, 1]",
        "shape: dlatent_avg.buff is [4, 16], expected [8, 8]",
        "discriminator_s.encode_block.0.blur.weight: expected the blur kernel",
    ):
        assert f"\n  {line}" in said


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: m.pop("generator_s"), "missing: generator_s\n--which=raw takes"),
        (lambda m: m.update(encoder={}), "unknown: 'encoder'"),
        (lambda m: m.update(generator_s=None), "missing: generator_s"),
        (lambda m: m["mapping_fl_s"].update(a=[1]), "mapping_fl_s.a"),
        (
            lambda m: m["mapping_fl_s"].update(a=np.zeros(3, np.int64)),
            "mapping_fl_s.a",
        ),
        (
            lambda m: m["mapping_tl_s"].update({"map_blocks.3.weight": np.zeros([8, 8], "f4")}),
            "mapping_tl_s.map_blocks has 4 layers",
        ),
        (
            lambda m: m["discriminator_s"].pop("from_rgb.0.from_rgb.weight"),
            "discriminator_s.from_rgb.0.from_rgb.weight",
        ),
        (
            lambda m: m["discriminator_s"].update(
                {"from_rgb.0.from_rgb.weight": np.zeros([4, 2, 1, 1], "f4")}
            ),
            "--image_channels=2",
        ),
    ],
)
def test_other_networks_are_refused(authors, tmp_path, capsys, spoil, message):
    spoil(authors["models"])
    assert message in fails(capsys, write(tmp_path / "bad.pth", authors), tmp_path / "run")


@pytest.mark.parametrize("data", [{"state_dict": {}}, {"models": None}, [1], np.zeros(3, "f4")])
def test_a_checkpoint_of_another_project_is_refused(data, tmp_path, capsys):
    path = write(tmp_path / "other.pth", data)
    assert "no entry `models`" in fails(capsys, path, tmp_path / "run")


def test_a_file_that_would_run_a_command_is_refused(authors, tmp_path, capsys):
    touched = tmp_path / "touched"
    authors["auxiliary"] = {"tracker": call(name("os", "system"), f"touch {touched}")}
    for legacy in (False, True):
        path = write(tmp_path / "bad.pth", authors, legacy)
        assert "it names 'os.system'" in fails(capsys, path, tmp_path / "run")
    assert not touched.exists()


def test_a_config_of_an_ablation_is_refused(tmp_path, capsys):
    """The authors' networks are the joint model's, with styles; they regress w."""
    config = tmp_path / "ablation.cfg"
    flags = "--discriminator=separate\n--encoder_head=dense\n--latent_regression=z\n"
    config.write_text(CONFIG + flags)
    said = fails(capsys, ZIP, tmp_path / "run", f"--config={config}")
    for line in ("discriminator: separate", "encoder_head: dense", "latent_regression: z"):
        assert f"\n  {line} in {config}, " in said


def test_sizes_are_read_off_the_tensors(tmp_path, capsys):
    """Another layout: grey, 3 levels, and a max_channels that no layer reaches."""
    config = Config(
        levels=3,
        start_channels=2,
        max_channels=500,
        latent_size=5,
        mapping_layers=1,
        image_channels=1,
        epochs_by_level=(1.0,),
    )
    alae, path = checkpoint_of(tmp_path / "grey.pth", config)
    run_dir = tmp_path / "run"
    assert main(["import", path, f"--run_dir={run_dir}", "--which=raw"]) == 0
    found = Config.load(run_dir / "config.cfg")
    assert found == config.replace(max_channels=16, epochs_by_level=Config.epochs_by_level)
    w = alae_tf.load_model(run_dir).encode(np.zeros([16, 16, 1], np.uint8))
    np.testing.assert_allclose(w, alae.encode(-np.ones([1, 16, 16, 1], np.float32))[0], atol=1e-5)
    flagfile = tmp_path / "grey.cfg"
    flagfile.write_text(config.to_flagfile())  # its 500 are the same networks
    flags = ["--which=raw", f"--config={flagfile}"]
    assert main(["import", path, f"--run_dir={tmp_path / 'again'}", *flags]) == 0
    assert "missing: discriminator_s" in fails(capsys, path, tmp_path / "slow")


def test_a_config_of_another_architecture_is_refused(tmp_path, capsys):
    flag = f"--config={ROOT}/configs/ffhq1024.cfg"
    said = fails(capsys, ZIP, tmp_path / "run", flag)
    assert f"levels: 9 in {ROOT}/configs/ffhq1024.cfg, 4 in {ZIP}\n" in said
    for field in ("start_channels: 16", "max_channels: 512", "latent_size: 512"):
        assert f"\n  {field} in" in said
    assert "image_channels" not in said
    said = fails(capsys, ZIP, tmp_path / "run", f"--config={ROOT}/configs/mnist_mlp.cfg")
    assert "architecture: mlp in" in said
    assert "none.cfg: no such file" in fails(capsys, ZIP, tmp_path / "run", "--config=none.cfg")


def test_nothing_is_overwritten(imported, tmp_path, capsys):
    before = sorted((path, path.stat().st_mtime_ns) for path in imported.rglob("*"))
    assert main(["import", "none.pth", f"--run_dir={imported}"]) == 2
    assert f"--run_dir={imported}: " in capsys.readouterr().err
    assert before == sorted((path, path.stat().st_mtime_ns) for path in imported.rglob("*"))
    (tmp_path / "letter.txt").write_text("Dear")
    assert main(["import", ZIP, f"--run_dir={tmp_path}"]) == 2
    assert "--run_dir=" in capsys.readouterr().err


def repeated(authors, name, shape):
    """The authors' checkpoint with a tensor that repeats its one number."""
    network, key = name
    weight = tensor(storage("s", 1), 0, shape, (0,) * len(shape))
    authors["models"][network][key] = weight
    return authors


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        # 20,000 latents from a shape alone would be 7 GB of networks
        (("mapping_fl_s", "map_blocks.0.fc.weight"), (20_000, 8), "numbers, but networks of"),
        (("discriminator_s", "from_rgb.0.from_rgb.weight"), (10_000, 3, 1, 1), "max_channels"),
        (("discriminator_s", "encode_block.3.conv_2.weight"), (9_000, 16, 1, 1), "repeat or share"),
        (("mapping_fl_s", "map_blocks.9.fc.weight"), (350, 350), "repeat or share"),
    ],
)
def test_shapes_ask_for_no_more_than_the_file_has(
    authors, tmp_path, capsys, monkeypatch, name, shape, message
):
    monkeypatch.setattr(importing, "Trainer", lambda config: pytest.fail("networks are built"))
    one = {"s": np.ones(1, np.float32)}
    path = write(tmp_path / "bad.pth", repeated(authors, name, shape), storages=one)
    assert message in fails(capsys, path, tmp_path / "run")


def test_keys_are_neither_hashed_nor_printed_for_ever(authors, tmp_path, capsys):
    for key in (Code(b"N" + b"\x85" * 200_000), Code(b"]" + b"2\x86" * 45)):
        for bad in ({key: {}}, {**authors, key: {}}, {"models": {**authors["models"], key: {}}}):
            path = write(tmp_path / "bad.pth", bad)
            assert "has a key of type tuple" in fails(capsys, path, tmp_path / "run")


def test_weights_that_are_not_finite_are_refused_and_leave_nothing(authors, tmp_path, capsys):
    spoilt = np.array(authors["models"]["generator_s"]["const"], np.float64)
    for value in (np.nan, np.inf, 1e300):  # float32 has no 1e300
        spoilt[0, 1, 2, 3] = value
        authors["models"]["generator_s"]["const"] = spoilt
        said = fails(capsys, write(tmp_path / "bad.pth", authors), tmp_path / "run")
        assert "not finite: generator_s.const" in said
    flags = [f"--run_dir={tmp_path / 'run'}", "--which=raw"]
    assert main(["import", str(tmp_path / "bad.pth"), *flags]) == 0


def test_what_a_file_calls_its_parts_cannot_drive_the_terminal(authors, tmp_path, capsys):
    authors["\x1b[31mred\nline"] = {"\x07": 1}
    assert (
        main(["import", write(tmp_path / "a.pth", authors), f"--run_dir={tmp_path / 'run'}"]) == 0
    )
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\x07" not in said
    assert r", \x1b[31mred\nline (\x07)" in said


@pytest.mark.parametrize("written", ["nothing", "half", "checkpoint"])
def test_a_killed_import_does_not_stand_in_the_way(imported, tmp_path, capsys, written):
    run_dir = tmp_path / "run"
    (run_dir / "checkpoints").mkdir(parents=True)
    (run_dir / importing.MARK).touch()
    (run_dir / ".lock").touch()
    name = "images-000000000000.npz"
    if written == "half":
        (run_dir / "checkpoints" / f".alae-{16 * '0'}.partial").write_bytes(b"PK")
    if written == "checkpoint":
        shutil.copy(imported / "checkpoints" / name, run_dir / "checkpoints")
    with Lock(run_dir / ".lock"):  # it is not killed but at work
        assert main(["import", ZIP, f"--run_dir={run_dir}"]) == 2
    assert "another process is" in capsys.readouterr().err
    assert main(["import", ZIP, f"--run_dir={run_dir}"]) == 0
    files = {str(path.relative_to(run_dir)) for path in run_dir.rglob("*")}
    assert files == {"checkpoints", f"checkpoints/{name}", "config.cfg", ".lock"}


def test_a_checkpoint_that_no_import_left_is_kept(imported, tmp_path, capsys):
    shutil.copytree(imported / "checkpoints", tmp_path / "run" / "checkpoints")
    assert main(["import", ZIP, f"--run_dir={tmp_path / 'run'}"]) == 2
    assert "--run_dir=" in capsys.readouterr().err
    assert list((tmp_path / "run" / "checkpoints").iterdir())


def test_a_full_disk_leaves_no_run(tmp_path, capsys, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    run_dir = tmp_path / "run"
    assert main(["import", ZIP, f"--run_dir={run_dir}"]) == 1
    assert f"--run_dir={run_dir}: No space left on device" in capsys.readouterr().err
    assert not run_dir.exists()


def test_a_run_is_verified_against_its_own_kind_alone(imported, tmp_path, capsys):
    def said(*arguments):
        assert main(["verify", *arguments]) == 2
        return capsys.readouterr().err

    other = str(GOLDENS / "style128_forward.npz")
    assert "levels: 4 in --run_dir=" in said(other, f"--run_dir={imported}")
    steps = str(GOLDENS / "style32_two_steps.npz")
    assert "--run_dir needs a forward file" in said(steps, f"--run_dir={imported}")
    assert said(FORWARD, f"--run_dir={tmp_path}").startswith(f"official: run_dir={tmp_path}: ")


def test_unknown_weights_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["import", ZIP, f"--run_dir={tmp_path / 'run'}", "--which=slow"])
    assert stop.value.code == 2
    assert "argument --which: " in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
