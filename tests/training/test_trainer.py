from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from alae_tf.data import open_source
from alae_tf.images.fit import fit
from alae_tf.training.algorithm import Iteration
from alae_tf.training.trainer import Trainer, fade_images
from tests.helpers.training import assert_same_weights, pixels, train
from tests.paths import GOLDENS


@pytest.mark.parametrize(
    ("networks", "level"), [pytest.param("small_mlp", 0, marks=pytest.mark.slow), ("small", 1)]
)
def test_two_replicas_on_half_batches_are_one_on_the_whole(request, networks, level):
    config = request.getfixturevalue(networks)
    images = pixels(config, level, 8)
    one, losses_one = train(config, tf.distribute.MirroredStrategy(["CPU:0"]), images, level)
    # Collectives of several strategies in one process get in each other's way; this uses none.
    reduction = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction)
    two, losses_two = train(config, strategy, images, level)
    assert two.strategy.num_replicas_in_sync == 2
    for a, b in zip(losses_one, losses_two, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    assert_same_weights(one, two)


def test_one_trace_a_level(small):
    trainer = Trainer(small)
    for level in (0, 1):
        trainer.set_learning_rate(level)
        for i, blend in enumerate((0.0, 0.3, 1.0)):
            trainer.step(pixels(small, level, 8), level, i * 8, blend)
    assert trainer.traces == {0: 1, 1: 1}


@pytest.mark.parametrize(
    ("networks", "discriminator"),
    [
        ("small_mlp", "joint"),
        pytest.param("small", "joint", marks=pytest.mark.slow),
        pytest.param("small", "separate", marks=pytest.mark.slow),
    ],
)
def test_lazy_r1_is_stronger_and_rarer(request, networks, discriminator):
    config = request.getfixturevalue(networks).replace(discriminator=discriminator)
    top = config.levels - 1
    images = pixels(config, top, 8)
    _, every = train(config, None, images, top, steps=1)
    lazy, twice = train(config.replace(r1_every=2), None, images, top, steps=2)
    _, none = train(config.replace(r1_gamma=0.0), None, images, top, steps=1)
    penalty = every[0]["d"] - none[0]["d"]
    assert penalty > 0
    assert twice[0]["d"] == pytest.approx(none[0]["d"] + 2 * penalty, rel=1e-4)
    assert lazy.traces == {top: 2}  # with and without R1


@pytest.mark.parametrize(("networks", "f", "g"), [("EG", 1, 2), ("EFG", 2, 2), ("E", 1, 1)])
def test_which_networks_move_in_update_3(small, networks, f, g):
    trainer = Trainer(small.replace(latent_update=networks, style_mixing=0.0))
    trainer.set_learning_rate(1)
    counts = {}
    trainer.step(pixels(small, 1, 8), 1, 0, 1.0)
    for variable, _, t in trainer.optimizer_fg.slots():
        counts[variable.path] = float(t)
    kernel = trainer.alae.F.dense[0].kernel.path
    assert counts[kernel] == f
    assert counts[trainer.alae.G.constant.path] == g
    of_d = {id(variable) for variable in trainer.alae.D.trainable_variables}
    assert [float(t) for v, _, t in trainer.optimizer_ed.slots() if id(v) in of_d] == [1.0] * 6


def test_ema_and_w_avg_follow(small):
    trainer = Trainer(small)
    trainer.set_learning_rate(1)
    before = {v.path: v.numpy() for v in trainer.alae.trainable_variables}
    trainer.step(pixels(small, 1, 8), 1, 0, 1.0)
    decay = 0.5 ** (8 / 10000)
    slow = trainer.ema.trainable_variables
    for variable, copy in zip(trainer.alae.trainable_variables, slow, strict=True):
        expected = decay * before[variable.path] + (1 - decay) * variable.numpy()
        np.testing.assert_allclose(copy, expected, atol=1e-6)
    np.testing.assert_array_equal(trainer.ema.w_avg, trainer.alae.w_avg)
    assert 0 < np.abs(trainer.alae.w_avg).max() < 0.1  # three moves of 0.005 of a mean


def test_layers_of_other_levels_do_not_move(small):
    trainer = Trainer(small)
    trainer.set_learning_rate(0)
    before = trainer.alae.E.blocks[0].conv_1.kernel.numpy()
    trainer.step(pixels(small, 0, 8), 0, 0, 1.0)
    np.testing.assert_array_equal(before, trainer.alae.E.blocks[0].conv_1.kernel)


def test_real_images_fade_in():
    x = tf.constant([0.0, 1.0, 2.0, 3.0], shape=[1, 2, 2, 1])
    assert fade_images(x, 0, 0.5) is x
    faded = fade_images(x, 1, 0.5)
    assert tf.reshape(faded, [-1]).numpy().tolist() == [0.75, 1.25, 1.75, 2.25]


@pytest.mark.parametrize("level", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_accumulated_parts_are_the_whole_batch(small, small_mlp, level):
    config = small if level else small_mlp
    images = pixels(config, level, 8)
    whole, losses = train(config, None, images, level)
    parts, losses_of_parts = train(config.replace(accumulate=2), None, images, level)
    for a, b in zip(losses, losses_of_parts, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    assert_same_weights(whole, parts)


@pytest.mark.slow
def test_accumulation_with_xla(small_mlp):
    images = pixels(small_mlp, 0, 8)
    _, plain = train(small_mlp, None, images, 0)
    _, parts = train(small_mlp.replace(accumulate=2, xla=True), None, images, 0)
    for a, b in zip(plain, parts, strict=True):
        assert a == pytest.approx(b, rel=1e-3)


@pytest.mark.slow
def test_half_precision_follows_float32(small):
    """Over 200 iterations: the mean of each loss, without the first 20, is within a tenth."""
    source, rng = open_source("mnist5k:"), np.random.default_rng(0)
    batches = [
        np.stack([fit(source.image(i), 8) for i in rng.integers(0, 4500, 16).tolist()])
        for _ in range(200)
    ]
    config = small.replace(start_channels=8, max_channels=16, latent_size=16, batch_by_level=(16,))
    means = {}
    for precision in ("float32", "bfloat16", "float16"):
        trainer = Trainer(config.replace(precision=precision))
        trainer.set_learning_rate(1)
        steps = [trainer.step(batch, 1, 16 * i, 1.0) for i, batch in enumerate(batches)]
        means[precision] = {
            name: np.mean([float(step[name]) for step in steps[20:]])
            for name in ("d", "g", "latent")
        }
    for precision in ("bfloat16", "float16"):
        assert means[precision] == pytest.approx(means["float32"], rel=0.1), precision


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
def test_float16_skips_an_overflow_and_continues(small, replicas):
    # Collectives of several strategies in one process get in each other's way; this uses none.
    reduction = tf.distribute.ReductionToOneDevice()
    devices = [f"CPU:{i}" for i in range(replicas)]
    strategy = tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)
    trainer = Trainer(small.replace(precision="float16"), strategy)
    trainer.set_learning_rate(0)
    scale = trainer.loss_scale
    scale.value.assign(2.0**40)  # overflows in every update
    before = {v.path: v.numpy() for v in trainer.alae.trainable_variables}
    data = tf.data.Dataset.from_tensors(pixels(small, 0, 8)).repeat()
    batches = iter(strategy.experimental_distribute_dataset(data))
    trainer.step(next(batches), 0, 0, 1.0)
    assert scale.value.numpy() == 2.0**37  # halved by each of the three updates
    for variable in trainer.alae.trainable_variables:
        np.testing.assert_array_equal(
            variable.numpy(), before[variable.path], err_msg=variable.path
        )
    for optimizer in (trainer.optimizer_ed, trainer.optimizer_fg):
        assert all(t.numpy() == 0 and not np.any(v.numpy()) for _, v, t in optimizer.slots())
    scale.value.assign(2.0**4)
    scale.good.assign(scale.GROWTH_UPDATES - 3)
    losses = trainer.step(next(batches), 0, 8, 1.0)
    assert all(np.isfinite(float(loss)) for loss in losses.values())
    assert (scale.value.numpy(), scale.good.numpy()) == (2.0**5, 0.0)
    blocks = [trainer.alae.E.blocks[1], trainer.alae.G.blocks[0]]
    moved = [v for block in blocks for v in block.trainable_variables]
    assert all(np.any(v.numpy() != before[v.path]) for v in moved)


def test_xla_trains(small_mlp):
    images = pixels(small_mlp, 0, 8)
    _, plain = train(small_mlp, None, images, 0, steps=2)
    _, compiled = train(small_mlp.replace(xla=True), None, images, 0, steps=2)
    for a, b in zip(plain, compiled, strict=True):
        assert a == pytest.approx(b, rel=1e-3)


def test_the_ema_is_the_moving_average_of_tensorflow_addons(small_mlp):
    with np.load(GOLDENS / "tensorflow_addons_0.23.npz") as golden:
        initial, variables, averages = (
            golden[f"moving_average/{name}"] for name in ("initial", "variable", "average")
        )
    trainer = Trainer(small_mlp.replace(ema_images=8 * np.log(0.5) / np.log(0.9)))
    fast, slow = keras.Variable(initial), keras.Variable(initial)
    nothing = dict(w_avg=keras.Variable([0.0]))
    iteration = Iteration(trainer, level=0, blend=1.0, batch=8, r1=True)  # decay 0.5^(8/half-life)
    iteration.alae = SimpleNamespace(trainable_variables=[fast], **nothing)
    iteration.ema = SimpleNamespace(trainable_variables=[slow], **nothing)
    for value, average in zip(variables, averages, strict=True):
        fast.assign(value)
        iteration.update_ema()
        np.testing.assert_allclose(slow.numpy(), average, atol=1e-6)
