import pytest

from alae_tf.config import Config, ConfigError
from alae_tf.networks.alae import build_alae
from tests.paths import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.cfg"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_parses_and_builds(path):
    config = Config.load(path)
    alae = build_alae(config)
    assert alae.w_avg.shape == (config.styles, config.latent_size)
    assert path.read_text().startswith("# ")


def test_published_settings():
    ffhq = Config.load(CONFIGS[0].parent / "ffhq1024.cfg")
    assert ffhq.resolution == 1024
    assert [ffhq.batch_size(level) for level in range(9)] == [512, 256, 128, 64] + [32] * 5
    assert [ffhq.learning_rate(level) for level in (5, 6, 7, 8)] == [0.0015, 0.002, 0.003, 0.003]


def test_flagfile_round_trip(tmp_path):
    config = Config(levels=3, epochs_by_level=(0.5, 2.0), flip=False, seed=7, data="folder:/a b")
    path = tmp_path / "config.cfg"
    path.write_text(config.to_flagfile())
    assert Config.load(path) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_channels": 2}, "--image_channels=2: must be 1 .grey. or 3"),
        ({"levels": 0}, "--levels=0: must be 1 to 9"),
        ({"batch_by_level": (8, 8, 8, 8, 8)}, "at most 4 numbers with --levels=4"),
        ({"batch_by_level": (0,)}, "--batch_by_level=0: must be greater than 0"),
        ({"architecture": "gan"}, "must be one of style, mlp"),
        ({"style_mixing": 1.5}, "a probability"),
        ({"seed": -1}, "--seed=-1"),
        ({"architecture": "mlp"}, "--levels=4: must be 1 with --architecture=mlp"),
        ({"image_size": 64}, "--image_size=64: must be left out with --architecture=style"),
        ({"max_channels": 2}, "at least --start_channels=64"),
        ({"epochs": float("nan")}, "--epochs=nan"),
        ({"learning_rate_by_level": (float("nan"),)}, "--learning_rate_by_level=nan: must be a"),
        ({"epochs_by_level": (float("inf"),)}, "must be a finite number"),
        ({"levels": "4"}, "must be of type int"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        Config(**changes)


def test_wrong_texts_are_named(tmp_path):
    with pytest.raises(ConfigError, match="--levels=four: must be a whole number"):
        Config.from_text({"levels": "four"})
    with pytest.raises(ConfigError, match="--lvels: no such setting"):
        Config.from_text({"lvels": "4"})
    path = tmp_path / "bad.cfg"
    path.write_text("--levels=4\nflip\n")
    with pytest.raises(ConfigError, match="line 2: 'flip' is not of the form --name=value"):
        Config.load(path)
