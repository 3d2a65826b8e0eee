"""What a run can begin with, and how trained networks get further levels."""

import numpy as np
import pytest

from alae_tf.config import Config, ConfigError
from alae_tf.data.arrays import ArraySource
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.model.pretrained import save_pretrained
from alae_tf.networks import ops
from alae_tf.networks.alae import build_alae
from alae_tf.networks.names import named_variables
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory
from alae_tf.runs.init_from import check_init_from, grown, is_added
from alae_tf.system.errors import CheckpointError
from alae_tf.training.progress import Progress
from alae_tf.training.reach import Reach
from alae_tf.training.saver import Saver
from alae_tf.training.schedule import Stage
from alae_tf.training.strategy import make_strategy
from tests.paths import ROOT


def test_what_a_run_can_begin_with(tmp_path):
    def asked(**changes):
        return Config(init_from=f"{tmp_path}/other", epochs=9.0, **changes)

    check_init_from(Config())
    with pytest.raises(ConfigError, match="--freeze=e:1: .*--init_from"):
        check_init_from(Config(freeze="e:1"))
    with pytest.raises(CheckpointError, match="--init_from=.*other"):
        check_init_from(asked())
    (tmp_path / "other/checkpoints").mkdir(parents=True)
    RunDirectory(tmp_path / "other").write_config(Config())
    with pytest.raises(ConfigError, match="--init_from=.*other: .*no checkpoint"):
        check_init_from(asked())
    (tmp_path / "other/checkpoints/images-000000000008.npz").touch()
    check_init_from(asked(batch_by_level=(3,), r1_gamma=1.0))
    for changes in (dict(latent_size=9), dict(image_channels=3), dict(latent_regression="z")):
        ((name, value),) = changes.items()
        with pytest.raises(ConfigError, match=f"--flagfile=.*config.cfg.*\n  {name}: .* {value}"):
            check_init_from(asked(**changes))


def test_the_recipes_for_faces64_fit_it():
    config = Config.load(ROOT / "configs/finetune_small.cfg")
    check_init_from(config)
    check_init_from(config.replace(levels=6, start_channels=8, freeze=""))  # 128 px


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        (dict(levels=6), "--start_channels=16 --max_channels=256"),
        (dict(levels=5, start_channels=16), "--start_channels=32 --max_channels=256"),
        (dict(levels=5, start_channels=32, max_channels=512), "--max_channels=256"),
        (dict(levels=5, start_channels=32, latent_size=9), "latent_size: 256 before, 9 now"),
        (dict(levels=3), "levels: 4 before, 3 now"),
        (dict(levels=5, start_channels=32, latent_size=9, max_channels=99), "latent_size: 256"),
    ],
)
def test_levels_that_do_not_fit(tmp_path, changes, right):
    (tmp_path / "other/checkpoints").mkdir(parents=True)
    (tmp_path / "other/checkpoints/images-000000000008.npz").touch()
    RunDirectory(tmp_path / "other").write_config(Config())  # 4 levels, 64 to 256 channels
    asked = Config(init_from=f"{tmp_path}/other", levels=5, start_channels=32)
    check_init_from(asked)
    check_init_from(asked.replace(levels=6, start_channels=16))
    with pytest.raises(ConfigError) as error:
        check_init_from(asked.replace(**changes))
    assert right in str(error.value)


def test_a_model_of_the_other_architecture(tmp_path, small, small_mlp):
    RunDirectory(tmp_path).write_config(small_mlp)
    with pytest.raises(ConfigError, match="--init_from=.*\n  architecture: mlp before, style now"):
        check_init_from(small.replace(init_from=str(tmp_path)))


def test_blocks_that_are_not_trained_yet_cannot_be_frozen(small, tmp_path):
    save_pretrained(Autoencoder(small, build_alae(small), level=0), tmp_path / "model", "")
    save_pretrained(Autoencoder(small, build_alae(small), level=1), tmp_path / "whole", "")
    grown = small.replace(levels=3, start_channels=2)
    for config, model in ((small, "model"), (grown, "whole")):
        config = config.replace(init_from=f"{tmp_path}/{model}", freeze="d:1")
        check_init_from(config)
        source = ArraySource("noise", np.zeros((1000, 16, 16), np.uint8))
        progress, directory = Progress(config, source, make_strategy(config)), RunDirectory("none")
        with pytest.raises(ConfigError, match="--freeze=d:1: .*--init_from=.* at level"):
            Saver(progress, directory, Reach(directory), True).restore()


def test_channels_that_cannot_be_halved(tmp_path):
    RunDirectory(tmp_path).write_config(Config(start_channels=3))
    with pytest.raises(ConfigError, match="--levels=4 "):
        check_init_from(Config(init_from=str(tmp_path), levels=5, start_channels=2))
    (tmp_path / "narrow").mkdir()
    RunDirectory(tmp_path / "narrow").write_config(Config(start_channels=3, max_channels=3))
    narrow = Config(init_from=f"{tmp_path}/narrow", levels=5, start_channels=1, max_channels=3)
    with pytest.raises(ConfigError, match="--start_channels=3 --max_channels=3"):
        check_init_from(narrow)


def test_names_of_parts_at_further_levels():
    before = {
        "alae/E/blocks.0/conv_1/kernel": np.ones(1),
        "alae/E/to_w.3/kernel": np.ones(2),
        "alae/D/from_rgb.1/bias": np.ones(3),
        "ema/G/blocks.1/conv_1/kernel": np.ones(4),
        "ema/D/dense.0/kernel": np.ones(5),
        "ema/w_avg": np.array([[1.0], [2.0]]),
        "ema/E/to_corrections/bias": np.array([3.0, 4.0]),
    }
    after = grown(before, 2, latent_size=1)
    assert {name: value.tolist() for name, value in after.items()} == {
        "alae/E/blocks.2/conv_1/kernel": [1],
        "alae/E/to_w.7/kernel": [1] * 2,
        "alae/D/from_rgb.3/bias": [1] * 3,
        "ema/G/blocks.1/conv_1/kernel": [1] * 4,
        "ema/D/dense.0/kernel": [1] * 5,
        "ema/w_avg": [[1]] + [[2]] * 5,
        "ema/E/to_corrections/bias": [3, 4, 0, 0, 0, 0],
    }
    new = ("alae/E/blocks.1/bias_1", "alae/D/from_rgb.0/bias", "alae/E/to_w.3/bias")
    for name in (*new, "alae/G/to_rgb.2/kernel"):
        assert is_added(name, 2, levels=4) and not is_added(name, 0, levels=4)
    assert not any(is_added(name, 2, levels=4) for name in after)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"encoder_codes": "layers"},
        {"discriminator": "separate"},
        {"discriminator": "separate", "encoder_head": "readout"},
        {"encoder_head": "dense"},
    ],
    ids=lambda changes: "_".join(changes.values()) or "plain",
)
def test_a_model_with_a_further_level_begins_as_it_was(small, tmp_path, changes):
    rng = np.random.default_rng(0)
    old = build_alae(small.replace(**changes))
    for variable in old.variables:
        variable.assign(rng.standard_normal(variable.shape))
    save_pretrained(Autoencoder(small.replace(**changes), old, level=1), tmp_path / "model", "")
    config = small.replace(levels=3, start_channels=2, init_from=f"{tmp_path}/model", **changes)
    check_init_from(config)
    new, ema = build_alae(config), build_alae(config, seed=9)
    variables = dict(named_variables(new, "alae")) | dict(named_variables(ema, "ema"))
    assert checkpoint.take_over(variables, tmp_path / "model", levels=3)["level"] == 1

    images = rng.standard_normal((4, 16, 16, 1)).astype(np.float32)
    half = ops.downsample2(images)
    for x, level, blend in ((half, 1, 1.0), (images, 2, 0.0)):
        for part in (new, ema):
            for ours, theirs in (
                (part.encode(x, level, blend), old.encode(half)),
                (part.logits(x, level, blend), old.logits(half)),
                (part.codes(x, level, blend)[0][:, :4], old.codes(half)[0]),
            ):
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    w, corrections = new.E.codes(images, 2, 0.0)
    assert corrections is None or not corrections[:, 4:].numpy().any()
    np.testing.assert_array_equal(new.w_avg[:4], old.w_avg)
    np.testing.assert_array_equal(new.w_avg[4:], [old.w_avg[3]] * 2)
    np.testing.assert_allclose(new.decode(w, 1), old.decode(w), rtol=1e-4, atol=1e-4)
    coarse = ops.upsample2(old.decode(w))
    np.testing.assert_allclose(new.decode(w, 2, 0.0), coarse, rtol=1e-4, atol=1e-4)


def test_a_run_that_grows_fades_in_the_new_level_and_continues_so(small, tmp_path, capsys):
    save_pretrained(Autoencoder(small, build_alae(small), level=1), tmp_path / "model", "")
    config = small.replace(
        levels=3,
        start_channels=2,
        init_from=f"{tmp_path}/model",
        epochs_by_level=(1.0, 1.0, 4.0),
        epochs=5.0,
    )
    source, strategy = ArraySource("", np.zeros((10, 16, 16), np.uint8)), make_strategy(config)

    def begun():
        progress, directory = Progress(config, source, strategy), RunDirectory(tmp_path)
        saver = Saver(progress, directory, Reach(directory), True)
        progress.level = saver.restore()
        return progress, saver

    progress, saver = begun()
    said = capsys.readouterr().err
    assert "up to 8 px are reused" in said and "up to 16 px" in said and "first 20 images" in said
    assert [progress.growth.at(n) for n in (0, 20)] == [Stage(2, 0.0), Stage(2, 1.0)]
    assert progress.growth.total == 50
    progress.images_seen = 10
    RunDirectory(tmp_path).write_config(config)
    assert saver.save()
    again, _ = begun()
    assert again.growth == progress.growth
    assert (again.images_seen, again.level, again.blend) == (10, 2, pytest.approx(0.5))
    with pytest.raises(ConfigError, match=f"--data=.* 11 .* 10.*--init_from={tmp_path}"):
        source.images = np.zeros((11, 16, 16, 1), np.uint8)
        begun()


def test_a_model_at_an_earlier_level_grows_through_its_own_levels_first(small, tmp_path, capsys):
    save_pretrained(Autoencoder(small, build_alae(small), level=0), tmp_path / "model", "")
    config = small.replace(levels=3, start_channels=2, init_from=f"{tmp_path}/model")
    source = ArraySource("noise", np.zeros((1000, 16, 16), np.uint8))
    progress, directory = Progress(config, source, make_strategy(config)), RunDirectory(tmp_path)
    assert Saver(progress, directory, Reach(directory), True).restore() == 0
    assert progress.growth.path(45)[1] == [0, 20, 40]
    assert "fade" not in capsys.readouterr().err.split("reused")[1]
