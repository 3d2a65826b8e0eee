"""A small StyleALAE, and its export."""

import numpy as np
import pytest
from PIL import Image

from alae_tf.config import Config
from tests.helpers.runs import save_run


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(1)
    for i in range(8):
        small = Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8))
        small.resize((20, 16), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def style_run(tmp_path_factory, photos):
    config = Config(
        levels=2,
        image_channels=3,
        start_channels=8,
        max_channels=16,
        latent_size=8,
        mapping_layers=2,
        data=f"folder:{photos}",
    )
    return save_run(config, tmp_path_factory.mktemp("style") / "run")


@pytest.fixture(scope="session")
def exported(style_run, tmp_path_factory):
    """Every file of the default formats. Tests that change the folder copy it."""
    from export import __main__

    out = tmp_path_factory.mktemp("out") / "export"
    arguments = [f"--run_dir={style_run}", f"--out={out}", "--max_int8_error=1"]
    assert __main__.main(arguments) == 0
    return out
