import copy
import dataclasses
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import alae_tf
from alae_tf.config import Config
from alae_tf.images.picture import png
from alae_tf.latents.directions import Direction
from alae_tf.model.autoencoder import PART, Autoencoder
from alae_tf.networks.alae import ALAE, build_alae
from alae_tf.runs import checkpoint
from alae_tf.system.errors import CheckpointError
from alae_tf.training.saver import training_variables
from alae_tf.training.trainer import Trainer
from tests.paths import ROOT


@pytest.fixture
def model(small):
    return Autoencoder(small, build_alae(small))


def test_uint8_and_float_are_the_same(model):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    w = model.encode(pixels)
    assert w.shape == (3, 8)
    assert w.dtype == np.float32
    np.testing.assert_allclose(model.encode(pixels / 127.5 - 1.0), w, atol=1e-4)
    np.testing.assert_allclose(model.encode(pixels[1]), w[1], atol=1e-4)  # one gives one


def test_reconstruct_is_decode_of_encode(model):
    pixels = np.full((2, 8, 8, 1), 50, np.uint8)
    images = model.reconstruct(pixels)
    assert images.dtype == np.uint8
    assert images.shape == (2, 8, 8, 1)
    np.testing.assert_array_equal(images, model.decode(model.encode(pixels)))
    assert model.reconstruct(pixels[0]).shape == (8, 8, 1)


def test_generate_is_repeatable(model):
    np.testing.assert_array_equal(model.generate(4, seed=3), model.generate(4, seed=3))
    assert (model.generate(4, seed=3) != model.generate(4, seed=4)).any()
    assert (model.generate(2, psi=0.0)[0] == model.generate(2, psi=0.0)[1]).all()


def test_styles_decode_too(model):
    w = np.ones((2, 8), np.float32)
    styles = np.repeat(w[:, None], 4, axis=1)
    np.testing.assert_array_equal(model.decode(w), model.decode(styles))


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("images", lambda m: m.encode(np.zeros((2, 8, 8, 3), np.uint8))),
        ("images", lambda m: m.encode(np.zeros((8, 8), np.uint8))),
        ("images", lambda m: m.encode(np.zeros((8, 8, 1), np.int64))),
        ("images", lambda m: m.encode(np.full((8, 8, 1), 255.0))),
        ("images", lambda m: m.encode(np.full((8, 8, 1), np.nan))),
        ("images", lambda m: m.encode(np.full((8, 8, 1), -np.inf))),
        ("images", lambda m: m.encode(np.full((8, 8, 1), -1.1))),
        ("w", lambda m: m.decode(np.full(8, np.nan))),
        ("w", lambda m: m.decode(np.full(8, 1e300))),
        ("w", lambda m: m.decode(np.full(8, 1e38))),
        ("w", lambda m: m.decode("abc")),
        ("w", lambda m: m.decode(np.zeros(8, complex))),
        ("w", lambda m: m.decode([[1.0], [1.0, 2.0]])),
        ("w", lambda m: m.decode(np.zeros((2, 7)))),
        ("w", lambda m: m.decode(np.zeros(()))),
        ("noise_mode", lambda m: m.decode(np.zeros((2, 8)), noise_mode="loud")),
        ("seed", lambda m: m.decode(np.zeros(8), "random", seed=0.5)),
        ("psi", lambda m: m.generate(psi=np.nan)),
        ("psi", lambda m: m.generate(psi=-np.inf)),
        ("w.* psi", lambda m: m.generate(psi=1e38)),
        ("psi", lambda m: m.generate(psi="a")),
        ("psi", lambda m: m.generate(2, psi=[1, 1, 1])),
        ("count", lambda m: m.generate(10**13)),
        ("count", lambda m: m.generate(0)),
        ("count", lambda m: m.generate(2.5)),
        ("count", lambda m: m.generate(True)),
        ("count", lambda m: m.sample_w(0)),
        ("seed", lambda m: m.generate(1, seed=2**70)),
        ("seed", lambda m: m.generate(1, seed=-1)),
        ("w", lambda m: m.truncate(np.zeros((2, 9)), 0.5)),
        ("w", lambda m: m.truncate(np.zeros(()), 0.5)),
        ("w", lambda m: m.truncate(np.full((2, 8), np.nan), 0.5)),
        ("psi", lambda m: m.truncate(np.zeros((2, 8)), [0.5] * 3)),
        ("z", lambda m: m.map(np.full((1, 8), np.nan))),
        ("z", lambda m: m.map(np.zeros((2, 7)))),
        ("a", lambda m: m.interpolate(np.zeros((3, 8)), np.zeros(8))),
        ("source", lambda m: m.mix(np.zeros((3, 8)), np.zeros((2, 8)), "0")),
        ("w", lambda m: m.edit(np.zeros((2, 7)), np.zeros(8), 1.0)),
        ("direction", lambda m: m.edit(np.zeros(8), np.zeros(7), 1.0)),
        ("direction", lambda m: m.edit(np.zeros(8), np.full(8, np.nan), 1.0)),
        ("amount", lambda m: m.edit(np.zeros((2, 8)), np.zeros(8), [1.0] * 3)),
    ],
)
def test_a_wrong_argument_is_named(model, argument, call):
    with pytest.raises(ValueError, match=rf"^{argument}\b"):
        call(model)


@pytest.fixture(params=["style", "mlp"])
def either(request, small, small_mlp):
    config = {"style": small, "mlp": small_mlp}[request.param]
    return Autoencoder(config, build_alae(config))


def test_no_images_give_none(either):
    side, latent = either.resolution, either.config.latent_size
    for pixels in (np.zeros((0, side, side, 1), np.uint8), np.zeros((0, side, side, 1))):
        assert either.encode(pixels).shape == (0, latent)
        assert either.encode(pixels).dtype == np.float32
        assert either.reconstruct(pixels).shape == pixels.shape
    for w in (np.zeros((0, latent)), np.zeros((0, either.config.styles, latent))):
        for noise_mode in ("const", "random", "none"):
            assert either.decode(w, noise_mode).shape == (0, side, side, 1)
            assert either.decode(w, noise_mode).dtype == np.uint8


def test_parts_give_what_one_batch_gives(either):
    for block in getattr(either.alae.G, "blocks", ()):
        block.noise_1.assign(np.ones(block.channels))  # noise that shows
    side = either.resolution
    pixels = np.random.default_rng(0).integers(0, 256, (7, side, side, 1), np.uint8)

    def everything():
        w = either.encode(pixels)
        yield w
        yield either.encode(pixels / 127.5 - 1.0)
        for noise_mode in ("const", "random", "none"):
            yield either.decode(w, noise_mode, seed=5)
            yield either.generate(7, 3, 0.5, noise_mode)
        yield either.reconstruct(pixels)

    assert either._part > 7
    whole = list(everything())
    either._part = 3
    for one, parts in zip(whole, everything(), strict=True):
        if one.dtype == np.uint8:
            assert np.abs(one.astype(int) - parts).max() <= 1
            assert np.mean(one != parts) < 0.01
        else:
            np.testing.assert_allclose(parts, one, atol=1e-5)
    if either.config.architecture == "style":
        random, const = (either.decode(whole[0], mode) for mode in ("random", "const"))
        assert np.mean(random != const) > 0.1
        assert np.mean(random[0] != either.decode(whole[0][[0] * 2], "random")[1]) > 0.1


def test_an_images_noise_is_the_same_in_any_company(model):
    w = np.random.default_rng(0).standard_normal((7, 8))
    assert (model.decode(w, "random", 4)[:3] == model.decode(w[:3], "random", 4)).all()
    assert (model.generate(7, 2)[:3] == model.generate(3, 2)).all()


def test_each_direction_is_traced_once_for_all_numbers_of_images(small, monkeypatch):
    traces = []
    for name in ("codes", "decode"):
        right = getattr(ALAE, name)

        def counted(self, *args, name=name, right=right):
            traces.append(name)
            return right(self, *args)

        monkeypatch.setattr(ALAE, name, counted)
    model = Autoencoder(small, build_alae(small))
    for count in (1, 2, 5, 3):
        model.blend = count / 10
        model.reconstruct(np.zeros((count, 8, 8, 1), np.uint8))
        model.decode(np.zeros((count, 8)), "random")
        model.decode(np.zeros((count, 8)), "none")
        model.generate(count)
    assert sorted(traces) == ["codes", "decode", "decode"]  # with noise and without


def test_many_models_in_one_process_warn_of_no_retracing(small_mlp, caplog):
    for seed in range(8):
        model = Autoencoder(small_mlp, build_alae(small_mlp, seed))
        model.generate(1)
        model.generate(2)
    assert "retracing" not in caplog.text


@pytest.mark.parametrize(
    ("name", "level", "images"),
    [
        ("celeba128", 5, 8),  # 128 px of 64 channels
        ("celeba128", 0, 2048),  # 4 px of 256
        ("ffhq1024", 8, 1),  # 1024 px of 16
        ("mnist_mlp", 0, 8192),  # 1024 hidden
    ],
)
def test_parts_are_of_one_size_in_memory(name, level, images):
    config = Config.load(ROOT / f"configs/{name}.cfg")
    assert max(1, PART // config.kind.widest(config, level)) == images


def modules_after(statement):
    """The names of the modules in a process that ran a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    return set(done.stdout.split())


def test_loading_runs_without_training_scikit_learn_and_matplotlib(small, tmp_path):
    trainer = Trainer(small)
    (tmp_path / "config.cfg").write_text(small.to_flagfile())
    state = {"images_seen": 8, "level": 0, "blend": 1.0}
    checkpoint.save(training_variables(trainer), tmp_path, state, keep=1)
    # Keras itself imports these two where they are installed; here they are not.
    block = "import sys\nsys.modules.update(sklearn=None, matplotlib=None)\nimport alae_tf\n"
    loaded = modules_after(f"{block}alae_tf.load_model({str(tmp_path)!r}).generate()")
    assert "alae_tf.model.autoencoder" in loaded
    rooms = ("training", "official", "data", "evaluation", "images")
    assert not [name for name in loaded if name.startswith(tuple(f"alae_tf.{r}" for r in rooms))]


def test_load_model_gives_the_ema(small, tmp_path):
    trainer = Trainer(small)
    trainer.ema.F.dense[0].kernel.assign(np.full((8, 8), 0.25))
    (tmp_path / "config.cfg").write_text(small.to_flagfile())
    state = {"images_seen": 8, "level": 0, "blend": 1.0}
    checkpoint.save(training_variables(trainer), tmp_path, state, keep=1)
    model = alae_tf.load_model(tmp_path)
    assert (model.level, model.resolution) == (0, 4)
    assert (model.alae.F.dense[0].kernel.numpy() == 0.25).all()
    assert model.generate(1).shape == (1, 4, 4, 1)


def test_load_model_takes_the_checkpoint_weights_and_level_asked_for(small, tmp_path):
    (tmp_path / "config.cfg").write_text(small.to_flagfile())
    trainer = Trainer(small)
    for seen, level in ((8, 0), (16, 1)):
        trainer.ema.F.dense[0].kernel.assign(np.full((8, 8), seen))
        trainer.alae.F.dense[0].kernel.assign(np.full((8, 8), -seen))
        state = {"images_seen": seen, "level": level, "blend": 0.5}
        checkpoint.save(training_variables(trainer), tmp_path, state, keep=2)

    def kernel(model):
        return float(model.alae.F.dense[0].kernel.numpy()[0, 0])

    newest = alae_tf.load_model(tmp_path)
    assert (kernel(newest), newest.level, newest.blend, newest.images_seen) == (16, 1, 0.5, 16)
    assert kernel(alae_tf.load_model(tmp_path, checkpoint=8)) == 8
    assert kernel(alae_tf.load_model(tmp_path, weights="raw")) == -16
    lower = alae_tf.load_model(tmp_path, level=0)
    assert (lower.resolution, lower.blend) == (4, 1.0)
    with pytest.raises(CheckpointError, match="8, 16"):
        alae_tf.load_model(tmp_path, checkpoint=9)
    for wrong in (
        dict(level="a"),
        dict(level=0.5),
        dict(level=True),
        dict(level=2),
        dict(checkpoint=[8]),
        dict(weights=[]),
        dict(weights="slow"),
    ):
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: "):
            alae_tf.load_model(tmp_path, **wrong)
    with pytest.raises(CheckpointError, match="None"):
        alae_tf.load_model(None)


def test_codes_of_generated_images(either):
    model = either
    w = model.sample_w(3, seed=5)
    np.testing.assert_array_equal(w, model.map(model.sample_z(3, seed=5)))
    np.testing.assert_array_equal(model.decode(w), model.generate(3, seed=5, psi=1.0))
    np.testing.assert_array_equal(model.sample_w(5, seed=5)[:3], w)


def test_psi_for_each_image(model):
    model.alae.w_avg.assign(np.random.default_rng(0).normal(size=model.alae.w_avg.shape))
    mixed = model.generate(3, psi=np.array([0.0, 0.5, 1.0]))
    for i, psi in enumerate((0.0, 0.5, 1.0)):
        np.testing.assert_array_equal(mixed[i], model.generate(3, psi=psi)[i])
    styles = model.truncate(np.ones((2, 8)), 0.5)
    np.testing.assert_allclose(styles[0], (model.alae.w_avg.numpy() + 1) / 2, atol=1e-6)


def test_floats_are_what_pixels_are_rounded_from(model):
    w = model.sample_w(4)
    floats = model.decode(w, floats=True)
    assert floats.dtype == np.float32
    rounded = np.clip(np.round(floats * 127.5 + 127.5), 0, 255)
    np.testing.assert_array_equal(rounded.astype(np.uint8), model.decode(w))


def test_long_features_are_what_w_is_made_of(model):
    """w is the sum of each block's two styles, each through its dense layer."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    styles, w = model.long_features(pixels), 0.0
    start = 0
    for block in model.alae.E.blocks:
        for dense in (block.to_w_1, block.to_w_2):
            w = w + dense(tf.constant(styles[:, start : start + dense.inputs])).numpy()
            start += dense.inputs
    assert start == styles.shape[1]
    np.testing.assert_allclose(w, model.encode(pixels), atol=1e-5)
    assert model.long_features(pixels[0]).shape == (start,)
    assert model.long_features(pixels[:0]).shape == (0, start)


def test_long_features_of_the_mlp(small_mlp):
    model = Autoencoder(small_mlp, build_alae(small_mlp))
    x = np.random.default_rng(0).uniform(-1, 1, (3, 6, 6, 1)).astype(np.float32)
    long = model.long_features(x)
    assert long.shape == (3, 16)
    last = model.alae.E.output_layer(tf.constant(long)).numpy()
    np.testing.assert_allclose(np.where(last > 0, last, 0.2 * last), model.encode(x), atol=1e-5)


def test_score_is_ds_logit(either):
    images = either.generate(3)
    x = tf.constant(images / 127.5 - 1, tf.float32)
    expected = either.alae.logits(x, either.level, either.blend)
    np.testing.assert_allclose(either.score(images), expected, atol=1e-5)
    assert either.score(images[0]).shape == () and either.score(images[:0]).shape == (0,)


def test_images_from_files(model, tmp_path):
    images = model.generate(2)
    (tmp_path / "more").mkdir()
    for name, image in zip(("a.png", "more/b.png"), images, strict=True):
        (tmp_path / name).write_bytes(png(image))
    np.testing.assert_array_equal(alae_tf.read_images([tmp_path], model), images)
    np.testing.assert_array_equal(alae_tf.read_images(tmp_path / "a.png", model), images[:1])
    with pytest.raises(ValueError, match="c.png"):
        alae_tf.read_images([tmp_path / "c.png"], model)


def test_repr(small):
    model = Autoencoder(small, build_alae(small), level=0, blend=0.5, images_seen=1500)
    assert repr(model) == (
        "<Autoencoder: style, level 0, blend 0.50, images [4, 4, 1], w [8], 1,500 images seen>"
    )


def test_one_images_styles_are_one_code(model):
    w = model.sample_w(3, seed=2)
    styles = np.stack([w[0]] * model.config.styles)
    styles[1] = w[1]
    path = model.interpolate(styles, w[2], 3)
    np.testing.assert_array_equal(path[0], model.decode(styles[np.newaxis])[0])
    np.testing.assert_array_equal(path[2], model.decode(w[2]))


def test_directions_of_other_weights_are_refused(model):
    vector, w = np.eye(8, dtype=np.float32)[0], model.sample_w(1)
    own = Direction("own", vector, "here", model=model.fingerprint)
    np.testing.assert_array_equal(model.edit(w, own, 1.0), model.edit(w, vector, 1.0))
    with pytest.raises(ValueError, match="own"):
        model.edit(w, dataclasses.replace(own, model="0123"), 1.0)


def test_a_copy_computes_the_same(small):
    model = Autoencoder(small, build_alae(small), images_seen=7)
    drawn = model.generate(2)  # traces graphs, which cannot be copied
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert (copied.config, copied.level, copied.images_seen) == (small, model.level, 7)
        assert copied.alae is not model.alae and copied.fingerprint == model.fingerprint
        np.testing.assert_array_equal(copied.generate(2), drawn)


def test_a_forked_process_raises(small, monkeypatch):
    model = Autoencoder(small, build_alae(small))
    w, pickled = model.sample_w(1), pickle.dumps(model)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    image = np.zeros([model.resolution, model.resolution, 1], np.uint8)
    for work in (
        lambda: model.encode(image),
        lambda: model.decode(w, "random"),
        lambda: model.generate(1),
        lambda: model.truncate(w, 0.5),
        lambda: model.map(w),
        lambda: model.fingerprint,
        lambda: pickle.loads(pickled),
        lambda: build_alae(small),
    ):
        with pytest.raises(RuntimeError, match="spawn"):
            work()


FLAT = """
import gc
import numpy as np
from alae_tf.model.autoencoder import load_model
def mib():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
def use():
    model = load_model("digits")
    model.reconstruct(np.zeros([1, 32, 32, 1], np.uint8))
    del model
    gc.collect()
for _ in range(3):
    use()
before, objects = mib(), len(gc.get_objects())
for _ in range(20):
    use()
print(mib() - before, len(gc.get_objects()) - objects)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_twenty_loads():
    done = subprocess.run([sys.executable, "-c", FLAT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    grown, objects = map(float, done.stdout.split())
    assert grown < 60  # 200 MiB when each load left 10
    assert objects < 5_000  # 120,000
