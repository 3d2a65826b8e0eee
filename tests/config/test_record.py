import dataclasses

import pytest

from alae_tf.config import GROUPS, Config, ConfigError
from alae_tf.config.settings import kind
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


# Written by the first version; fields whose names have not changed are left out.
FIRST_VERSION = """--architecture=style
--image_channels=1
--levels=2
--start_channels=4
--max_channels=8
--latent_size=8
--mapping_layers=2
--data=mnist5k:
--flip=false
--epochs=0.2
--epochs_by_level=0.1
--batch_by_level=32
--slow_copy_images=5000.0
--sample_images=400
"""


def test_a_config_of_the_first_version_loads(tmp_path):
    path = tmp_path / "config.cfg"
    path.write_text(FIRST_VERSION)
    config = Config.load(path)
    assert (config.ema_images, config.levels, config.flip) == (5000.0, 2, False)
    assert "--ema_images=5000.0\n" in config.to_flagfile()
    assert "slow_copy" not in config.to_flagfile()


def test_every_number_has_bounds_and_every_field_a_group_in_their_order():
    groups = [field.metadata["group"] for field in dataclasses.fields(Config)]
    assert list(dict.fromkeys(groups)) == list(GROUPS)
    assert groups == sorted(groups, key=list(GROUPS).index)
    for field in dataclasses.fields(Config):
        number = kind(field) in (int, float) and field.name != "image_channels"
        assert bool(field.metadata["within"]) == number, field.name


@pytest.mark.parametrize(
    "field", [field for field in dataclasses.fields(Config) if kind(field) in (int, float)]
)
def test_huge_and_negative_numbers_are_refused(field):
    for text in ("9" * 31, "9" * 5000, "1e308", "-1e308", "inf", "-1"):
        with pytest.raises(ConfigError, match=f"--{field.name}="):
            Config.from_text({field.name: text})


def test_settings_without_effect():
    assert Config().ignored == {}
    assert Config(style_mixing=0.5, epochs_by_level=(1.0,)).ignored == {}
    mlp = Config(architecture="mlp", levels=1, style_mixing=0.5, epochs_by_level=(1.0,))
    why = "--architecture=mlp"
    assert mlp.ignored == {"epochs_by_level": why, "style_mixing": why}
    assert mlp.replace(style_mixing=0.9, epochs_by_level=(10.0,)).ignored == {}
    pixels = Config(reconstruction_pixels=1.0, correction_pull=1.0)
    why = "--reconstruction=0"
    assert pixels.ignored == {"reconstruction_pixels": why, "correction_pull": why}
    assert pixels.replace(reconstruction=1.0).ignored == {"correction_pull": "--encoder_codes=w"}
    assert pixels.replace(reconstruction=1.0, encoder_codes="layers").ignored == {}


@pytest.mark.parametrize(
    ("changes", "flag", "right"),
    [
        ({"image_channels": 2}, "--image_channels=2", "1 .* 3"),
        ({"levels": 0}, "--levels=0", "1, 9"),
        ({"batch_by_level": (8, 8, 8, 8, 8)}, "--batch_by_level=8,8,8,8,8", "--levels=4"),
        ({"batch_by_level": ()}, "--batch_by_level=", "--levels=4"),
        ({"batch_by_level": (0,)}, "--batch_by_level=0", "1, 1048576"),
        ({"architecture": "gan"}, "--architecture=gan", "style, mlp"),
        ({"style_mixing": 1.5}, "--style_mixing=1.5", "0, 1"),
        ({"seed": -1}, "--seed=-1", "0, "),
        ({"architecture": "mlp"}, "--levels=4", "--architecture=mlp"),
        ({"image_size": 64}, "--image_size=64", "--architecture=style"),
        ({"discriminator": "apart"}, "--discriminator=apart", "joint, separate"),
        ({"latent_regression": "x"}, "--latent_regression=x", "w, z"),
        (
            {"architecture": "mlp", "levels": 1, "encoder_head": "dense"},
            "--encoder_head=dense",
            "--architecture=mlp",
        ),
        ({"max_channels": 2}, "--max_channels=2", "--start_channels=64"),
        ({"freeze": "d:5"}, "--freeze=d:5", "1, 4"),
        ({"freeze": "e:0"}, "--freeze=e:0", "1, 4"),
        ({"freeze": "g:1"}, "--freeze=g:1", "d:N or e:N"),
        ({"freeze": "2"}, "--freeze=2", "d:N or e:N"),
        (
            {"freeze": "e:1", "encoder_head": "readout", "discriminator": "separate"},
            "--freeze=e:1",
            "d:N",
        ),
        (
            {"architecture": "mlp", "levels": 1, "freeze": "d:1"},
            "--freeze=d:1",
            "--architecture=mlp",
        ),
        ({"epochs": float("nan")}, "--epochs=nan", "finite"),
        ({"learning_rate_by_level": (float("nan"),)}, "--learning_rate_by_level=nan", "finite"),
        ({"epochs_by_level": (float("inf"),)}, "--epochs_by_level=inf", "finite"),
        ({"levels": "4"}, "--levels=4", "int"),
        ({"epochs": 1e308}, "--epochs=1e.308", "0, 1e9"),
        ({"epochs_by_level": (1.0, 1e308)}, "--epochs_by_level=1.0,1e.308", "0, 1e9"),
        ({"adam_beta_2": 1.0}, "--adam_beta_2=1.0", "0, 1"),
    ],
)
def test_errors_name_the_flag_and_what_is_right(changes, flag, right):
    with pytest.raises(ConfigError, match=f"{flag}: .*{right}"):
        Config(**changes)


def test_an_empty_file_is_no_config(tmp_path):
    (tmp_path / "config.cfg").write_text("\n# nothing\n")
    with pytest.raises(ConfigError, match="config.cfg"):
        Config.load(tmp_path / "config.cfg")


def test_wrong_texts_are_named():
    with pytest.raises(ConfigError, match="--levels=four"):
        Config.from_text({"levels": "four"})
    with pytest.raises(ConfigError, match="--lvels"):
        Config.from_text({"lvels": "4"})
