"""`alae figures` on a small run: every kind, and every wrong flag."""

import numpy as np
import pytest
from PIL import Image

from alae_tf import directions
from alae_tf.config import Config
from alae_tf.features import lpips
from alae_tf.figures import KINDS
from alae_tf.figures import __main__ as figures
from alae_tf.model.autoencoder import load_model
from alae_tf.networks.alae import build_alae
from alae_tf.networks.names import named_variables
from alae_tf.runs import checkpoint
from tests.helpers.fakes import Brightness

DRAWN = [
    ("reconstruct", []),
    ("reconstruct", ["--mosaic"]),
    ("generate", []),
    ("generate", ["--psi=0,0.5,1", "--count=3", "--noise=random"]),
    ("interpolate", ["--count=3"]),
    ("interpolate", ["--random", "--space=z", "--psi=0.5", "--count=3"]),
    ("mix", ["--count=2"]),
    ("mix", ["--levels=0,1-2", "--count=2"]),
    ("traverse", ["--directions=DIRECTIONS", "--names=3,7", "--levels=coarse", "--count=2"]),
    ("training", ["--count=3"]),
    ("embedding", ["--count=60", "--method=pca"]),
    ("nearest", ["--count=2", "--among=30"]),
    ("project", ["--count=2", "--steps=1"]),
]


def small_run(path, **changes):
    config = Config(
        levels=3, image_channels=1, start_channels=8, max_channels=8, latent_size=8, flip=False
    ).replace(**changes)
    alae = build_alae(config)
    weights = dict(named_variables(alae, "ema"))
    path.mkdir()
    for seen, level in ((8, 1), (16, 2)):
        state = {"images_seen": seen, "level": min(level, config.levels - 1), "blend": 1.0}
        checkpoint.save(weights, path, state, keep=2)
    (path / "config.cfg").write_text(config.to_flagfile())
    return path


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    path = small_run(tmp_path_factory.mktemp("run") / "run")
    out = path.parent / "directions.json"
    arguments = [f"--run_dir={path}", "--labels=classes", "--images=400", f"--out={out}"]
    assert directions.main(arguments) == 0
    return path


def draw(run_dir, *arguments):
    arguments = [a.replace("DIRECTIONS", f"{run_dir.parent}/directions.json") for a in arguments]
    return figures.main([*arguments, f"--run_dir={run_dir}"])


@pytest.mark.parametrize(("kind", "flags"), DRAWN)
def test_every_kind(run_dir, tmp_path, kind, flags, monkeypatch):
    monkeypatch.setattr(lpips, "Lpips", Brightness)
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path))
    assert draw(run_dir, kind, *flags, f"--out={tmp_path}/a.png") == 0
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert min(picture.shape[:2]) > 60 and np.ptp(picture) > 100


def test_the_same_seed_gives_the_same_bytes(run_dir, tmp_path):
    flags = ["--psi=0,0.5,1", "--count=3", "--noise=random"]
    files = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for seed, file in zip((1, 1, 2), files, strict=True):
        assert draw(run_dir, "generate", *flags, f"--seed={seed}", f"--out={file}") == 0
    a, b, c = (file.read_bytes() for file in files)
    assert a == b != c


@pytest.mark.parametrize(
    ("kind", "ending"), [("interpolate", "gif"), ("traverse", "webp"), ("training", "gif")]
)
def test_animations(run_dir, tmp_path, kind, ending):
    flags = ["--count=2"] + ["--steps=3"] * (kind != "training")
    flags += ["--directions=DIRECTIONS"] * (kind == "traverse")
    assert draw(run_dir, kind, *flags, f"--out={tmp_path}/a.{ending}") == 0
    with Image.open(tmp_path / f"a.{ending}") as image:
        assert image.n_frames == {"interpolate": 6, "traverse": 4, "training": 2}[kind]


def test_files_of_any_kind_and_size(run_dir, tmp_path, capsys):
    Image.new("RGB", (30, 20), (200, 30, 30)).save(tmp_path / "photo.jpg")
    Image.new("L", (8, 8), 90).save(tmp_path / "small.png")
    files = ["--images", str(tmp_path / "photo.jpg"), str(tmp_path / "small.png")]
    assert draw(run_dir, "reconstruct", *files, f"--out={tmp_path}/a.pdf") == 0
    reported = capsys.readouterr().err
    assert "in colour" in reported and "16 px" in reported
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    sources = ["--sources", str(tmp_path / "small.png")]
    assert draw(run_dir, "mix", *files, *sources, f"--out={tmp_path}/b.png") == 0


def test_of_many_files_some_are_drawn_and_broken_ones_left_out(run_dir, tmp_path, capsys):
    for i in range(50):
        Image.new("L", (16, 16), i).save(tmp_path / f"{i:02d}.png")
    (tmp_path / "03.png").write_bytes(b"no image")
    arguments = ["reconstruct", "--images", str(tmp_path)]
    assert draw(run_dir, *arguments, f"--out={tmp_path}/a.pdf") == 0
    reported = capsys.readouterr().err
    assert "48 of 50" in reported and "--count" in reported and f"{tmp_path}/03.png" in reported


def test_nothing_is_overwritten_unless_asked(run_dir, tmp_path, capsys):
    out = tmp_path / "a.png"
    out.write_text("mine")
    assert draw(run_dir, "generate", f"--out={out}") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert draw(run_dir, "generate", f"--out={out}", "--overwrite") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


WRONG = [
    ("generate --out=a.bmp", "--out"),
    ("generate --out=nowhere/a.png", "--out"),
    ("embedding --out=a.gif", "--out"),
    ("generate --out=a.png --psi=x", "--psi"),
    ("generate --out=a.png --psi=1,200", "--psi"),
    ("generate --out=a.png --psi=", "--psi"),
    ("project --out=a.png --pull=inf", "--pull"),
    ("embedding --out=a.png --count=1", "--count"),
    ("interpolate --out=a.png --psi=1,2", "--psi"),
    ("generate --out=a.png --count=0", "--count"),
    ("generate --out=a.png --count=1.5", "--count"),
    (f"generate --out=a.png --count={'9' * 5000}", "--count"),
    ("generate --out=a.png --seed=-1", "--seed"),
    ("interpolate --out=a.png --steps=1", "--steps"),
    ("interpolate --out=a.png --random --images x.png", "--images"),
    ("interpolate --out=a.png --space=z", "--space"),
    ("interpolate --out=a.png --count=1", "--count"),
    ("interpolate --out=a.png --psi=1", "--psi"),
    ("mix --out=a.png --levels=5", "--levels=5"),
    ("mix --out=a.png --images README.md", "README.md"),
    ("mix --out=a.png --sources mnist5k:", "--sources"),
    ("generate --out=a.png --align=lfw", "--align"),
    ("mix --out=a.png --align=lfw --images=mnist5k:", "--align"),
    ("project --out=a.png --steps=0", "--steps"),
    ("nearest --out=a.png --among=-5", "--among"),
    ("traverse --out=a.png --directions=none.json", "none.json"),
    ("traverse --out=a.png --directions=DIRECTIONS --names=11", "'11'"),
    ("traverse --out=a.png --directions=DIRECTIONS --levels=9", "--levels=9"),
    ("reconstruct --out=a.png --images none.png", "none.png"),
    ("reconstruct --out=a.png --images README.md", "README.md"),
    ("reconstruct --out=a.png --images folder:/none", "--images=folder:/none"),
    ("nearest --out=a.png --images a.png", "--images=a.png"),
    ("mix --out=a.png --images folder:a folder:b", "--images"),
    ("generate --out=a.png --checkpoint=7", "--run_dir="),
    ("training --out=a.png --checkpoint=8", "--checkpoint"),
    ("generate --out=a.png --weights=raw", "raw"),
    ("dance --out=a.png", "dance"),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=[line[:40] for line, _ in WRONG])
def test_bad_flags(run_dir, tmp_path, monkeypatch, capsys, arguments, named):
    (tmp_path / "README.md").write_text("words")
    monkeypatch.chdir(tmp_path)
    try:
        code = draw(run_dir, *arguments.split())
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("name", KINDS)
def test_help_describes_every_flag_of_a_kind(name, capsys):
    with pytest.raises(SystemExit) as stop:
        figures.main([name, "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for flag, options in KINDS[name].flags.items():
        assert f"--{flag}" in text and " ".join(options["help"].split()[:3]) in text
    assert ("--checkpoint" in text) == (name != "training")
    assert ("--images" in text) == (name != "generate")


def test_directions_of_another_model(run_dir, tmp_path, capsys):
    other = small_run(tmp_path / "other", seed=5)
    flags = [f"--directions={run_dir.parent}/directions.json", f"--out={tmp_path}/a.png"]
    assert draw(other, "traverse", *flags) == 2
    assert "directions.json" in capsys.readouterr().err
    longer = small_run(tmp_path / "longer", latent_size=9)
    assert draw(longer, "traverse", *flags) == 2
    assert "directions.json" in capsys.readouterr().err


def test_a_run_without_its_images_or_checkpoints(tmp_path, capsys):
    run = small_run(tmp_path / "run", data=f"folder:{tmp_path}/gone?channels=1")
    assert draw(run, "reconstruct", f"--out={tmp_path}/a.png") == 2
    assert "--images" in capsys.readouterr().err
    assert draw(run, "generate", f"--out={tmp_path}/a.png") == 0
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    assert draw(run, "generate", f"--out={tmp_path}/b.png") == 2
    assert f"--run_dir={run}" in capsys.readouterr().err


def test_a_run_of_a_level_below_the_top(run_dir, tmp_path):
    model = load_model(run_dir, 8)
    assert (model.level, model.resolution) == (1, 8)
    flags = ["--checkpoint=8", "--count=2", f"--out={tmp_path}/a.png"]
    assert draw(run_dir, "mix", *flags, "--levels=0,1") == 0
