"""Augmentation: each operation against a NumPy reference, exact derivatives, and the adapted p."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import map_coordinates

from alae_tf.config import Config, ConfigError
from alae_tf.runs import checkpoint
from alae_tf.training import augment
from alae_tf.training.augment import NUMBERS, OPERATIONS, Augmentation
from alae_tf.training.saver import training_variables
from alae_tf.training.trainer import Trainer
from tests.helpers.training import pixels, train

SIDE = 8
IMAGES = np.random.default_rng(0).uniform(-1, 1, (3, SIDE, SIDE, 3)).astype(np.float32)
GREYS = IMAGES[..., :1]


@pytest.fixture
def ada(small):
    return small.replace(augment="ada", augment_images=100.0)


def always(**changes):
    return Augmentation(Config(augment="fixed", augment_p=1.0, **changes))


def numbers(n=3, seed=1):
    return tf.constant(np.random.default_rng(seed).uniform(size=(n, NUMBERS)), tf.float32)


def rotate(angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def hue(angle):
    axis = np.ones(3) / np.sqrt(3)
    cross = np.cross(axis, np.eye(3)).T
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross
    return turn + (1 - np.cos(angle)) * np.outer(axis, axis)


# Operation → (a, b, the matrix by hand); a = 0.8413447 is one standard deviation.
DEVIATION = 0.8413447
BY_HAND = {
    "mirror": (0.6, 0.0, np.diag([-1, 1, 1])),
    "quarter_turns": (0.3, 0.0, rotate(np.pi / 2)),
    "whole_shift": (0.9, 0.1, [[1, 0, 1], [0, 1, -1], [0, 0, 1]]),
    "size": (DEVIATION, 0.0, np.diag([2**0.2, 2**0.2, 1])),
    "turn_before": (0.75, 0.0, rotate(np.pi / 2)),
    "stretch": (DEVIATION, 0.0, np.diag([2**0.2, 2**-0.2, 1])),
    "turn_after": (0.25, 0.0, rotate(-np.pi / 2)),
    "shift": (DEVIATION, 1 - DEVIATION, [[1, 0, 1], [0, 1, -1], [0, 0, 1]]),
    "brightness": (DEVIATION, 0.0, ([1, 1, 1], 0.2)),
    "contrast": (DEVIATION, 0.0, ([2**0.5] * 3, 0)),
    "inverted_luma": (0.6, 0.0, (np.eye(3) - 2 / 3, 0)),
    "hue": (0.7, 0.0, (hue(0.4 * np.pi), 0)),
    "saturation": (DEVIATION, 0.0, (np.full((3, 3), 1 / 3) + 2 * (np.eye(3) - 1 / 3), 0)),
}


@pytest.mark.parametrize(
    "operation", [each for group in OPERATIONS.values() for each in group], ids=lambda o: o.name
)
def test_matrices_by_hand(operation):
    a, b, expected = BY_HAND[operation.name]
    if isinstance(expected, tuple):
        matrix, more = expected
        full = np.eye(4)
        full[:3, :3] = np.diag(matrix) if np.ndim(matrix) == 1 else matrix
        full[:3, 3] = more
        expected = full
    found = operation.matrix(tf.constant([a]), tf.constant([b]), SIDE)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_warp_agrees_with_scipy():
    matrices = np.stack(
        [
            rotate(0.7) @ np.diag([1.3, 0.8, 1]),
            [[1, 0, 2.25], [0, 1, -9.5], [0, 0, 1]],
            np.diag([-1, 1, 1]),
        ]
    )
    found = augment.warp(tf.constant(IMAGES), tf.constant(matrices, tf.float32)).numpy()
    centre = (SIDE - 1) / 2
    row, column = np.mgrid[:SIDE, :SIDE] - centre
    for image, matrix, ours in zip(IMAGES, matrices, found, strict=True):
        x, y, _ = np.einsum("ij,jhw->ihw", matrix, np.stack([column, row, np.ones_like(row)]))
        for c in range(3):
            theirs = map_coordinates(
                image[..., c], [y + centre, x + centre], order=1, mode="mirror"
            )
            np.testing.assert_allclose(ours[..., c], theirs, atol=1e-5)


def test_recolour_by_hand():
    matrix = np.random.default_rng(3).normal(size=(3, 4, 4)).astype(np.float32)
    found = augment.recolour(tf.constant(IMAGES), tf.constant(matrix))
    expected = np.einsum("nij,nhwj->nhwi", matrix[:, :3, :3], IMAGES) + matrix[:, None, None, :3, 3]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_grey_images_are_recoloured_as_colour_images_with_three_equal_channels():
    colour = always(augment_operations=("colour",))
    expected = colour(tf.repeat(tf.constant(GREYS), 3, axis=-1), numbers())
    found = colour(tf.constant(GREYS), numbers())
    assert np.abs(found - GREYS).max() > 0.1
    np.testing.assert_allclose(tf.repeat(found, 3, axis=-1), expected, atol=1e-5)


@pytest.mark.parametrize("images", [IMAGES, GREYS])
def test_nothing_changes_to_the_bit_at_p_0(images):
    never = Augmentation(Config(augment="ada"))
    np.testing.assert_array_equal(never(tf.constant(images), numbers()), images)


def test_a_part_of_the_images_is_changed():
    some = Augmentation(Config(augment="fixed", augment_p=0.03))
    images = np.repeat(IMAGES[:1], 400, axis=0)
    found = some(tf.constant(images), numbers(400)).numpy()
    untouched = np.mean([np.array_equal(image, images[0]) for image in found])
    # The two rotations together have probability p. Half of the mirrors and of the inversions, and
    # a quarter of the quarter turns and of the whole shifts, change nothing.
    p = 0.03
    expected = (1 - p) ** 8 * (1 - p / 2) ** 2 * (1 - 0.75 * p) ** 2
    assert untouched == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("xla", [False, True])
def test_second_derivatives_are_exact(xla):
    transform = always()
    drawn = numbers()

    @tf.function(jit_compile=xla)
    def penalty_and_slope(x, weight):
        with tf.GradientTape() as outer:
            outer.watch(weight)
            with tf.GradientTape() as inner:
                inner.watch(x)
                logits = tf.reduce_sum(tf.sin(transform(x, drawn) * weight), [1, 2, 3])
            gradient = inner.gradient(logits, x)
            penalty = tf.reduce_sum(gradient**2)
        return penalty, outer.gradient(penalty, weight)

    x, weight = tf.constant(IMAGES), tf.random.stateless_normal([SIDE, SIDE, 3], [0, 0])
    step = tf.random.stateless_normal(weight.shape, [0, 1])
    _, slope = penalty_and_slope(x, weight)
    above, _ = penalty_and_slope(x, weight + 1e-2 * step)
    below, _ = penalty_and_slope(x, weight - 1e-2 * step)
    by_differences = float(above - below) / 2e-2
    assert by_differences == pytest.approx(float(tf.reduce_sum(slope * step)), rel=2e-3)


@pytest.mark.parametrize(("signs", "expected"), [([1, 1, 1, 1], 0.32), ([1, 0, 0, 0.2], 0.0)])
def test_p_moves_after_four_iterations_by_hand(signs, expected):
    adapted = Augmentation(Config(augment="ada", augment_images=100.0))
    for i, sign in enumerate(signs):
        assert float(adapted.p.numpy()) == 0, i
        adapted.adapt(tf.constant(float(sign)), batch=8)
    assert float(adapted.p.numpy()) == pytest.approx(expected)
    assert float(adapted.signs.numpy()) == float(adapted.counted.numpy()) == 0


@pytest.mark.slow
def test_p_is_not_lost_with_an_update_that_float16_skips(ada):
    trainer = Trainer(ada.replace(precision="float16", augment_target=-0.9))
    trainer.set_learning_rate(0)
    images = pixels(ada, 0, 8)
    weights = trainer.alae.E.trainable_variables
    before = [weight.numpy() for weight in weights]
    for i in range(4):
        for weight, value in zip(weights, before, strict=True):
            weight.assign(value * (3e6 if i == 1 else 1.0))
        loss = trainer.step(images, 0, 8 * i, 1.0)["d"]
        assert np.isnan(loss) == (i == 1)
    assert float(trainer.augment.p.numpy()) in (0.0, pytest.approx(0.32))


def test_training_adapts_p_and_goes_on_with_the_same_bits(ada, tmp_path):
    config = ada.replace(augment_target=-0.9)  # so that p rises
    images = pixels(config, 0, 8)
    whole, resumed = Trainer(config), Trainer(config.replace(seed=1))
    resumed.config = config
    for trainer in (whole, resumed):
        trainer.set_learning_rate(0)
    for i in range(5):
        whole.step(images, 0, 8 * i, 1.0)
    assert float(whole.augment.p.numpy()) == pytest.approx(0.32)
    state = dict(level=0, blend=1.0, dataset_size=8, sums=[0.0] * 3, summed=0)
    checkpoint.save(training_variables(whole), tmp_path, state | {"images_seen": 40}, keep=1)
    checkpoint.restore(training_variables(resumed), tmp_path)
    for trainer in (whole, resumed):
        trainer.step(images, 0, 40, 1.0)
    ours, theirs = training_variables(whole), training_variables(resumed)
    for name in ours:
        np.testing.assert_array_equal(ours[name].numpy(), theirs[name].numpy(), err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [dict(accumulate=2), dict(strategy="mirrored")])
def test_replicas_and_parts_give_the_same(changes, ada):
    config = ada.replace(augment_target=-0.9)
    images = pixels(config, 0, 8)
    strategy = None
    if "strategy" in changes:
        reduction = tf.distribute.ReductionToOneDevice()
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction)
        changes = {}
    one, losses_one = train(config, None, images, 0, steps=5)
    two, losses_two = train(config.replace(**changes), strategy, images, 0, steps=5)
    assert float(one.augment.p.numpy()) == float(two.augment.p.numpy()) == pytest.approx(0.32)
    assert losses_one[0] == pytest.approx(losses_two[0], rel=1e-4)


@pytest.mark.slow
def test_updates_3_and_4_see_clean_images(small):
    """With p = 1 the losses of updates 1 and 2 change, those of updates 3 and 4 do not."""
    small = small.replace(reconstruction=1.0, reconstruction_distance="encoder")
    losses = []
    for name in ("none", "fixed"):
        trainer = Trainer(small.replace(augment=name, augment_p=1.0 if name == "fixed" else 0.2))
        trainer.set_learning_rate(0)
        for optimizer in (trainer.optimizer_ed, trainer.optimizer_fg):
            optimizer.learning_rate = 0.0
        step = trainer.step(pixels(small, 1, 8), 1, 0, 1.0)
        losses.append({name: float(value) for name, value in step.items()})
    assert losses[0]["latent"] == losses[1]["latent"]
    assert losses[0]["reconstruction"] == losses[1]["reconstruction"]
    assert losses[0]["d"] != losses[1]["d"] and losses[0]["g"] != losses[1]["g"]


def test_unknown_operations_are_refused_and_idle_settings_reported():
    with pytest.raises(ConfigError, match="--augment_operations"):
        Config(augment_operations=("noise",))
    with pytest.raises(ConfigError, match="--augment_p"):
        Config(augment="fixed", augment_p=1.5)
    with pytest.raises(ConfigError, match="--augment_target"):
        Config(augment_target=1.0)
    assert set(Config(augment="fixed", augment_target=0.5).ignored) == {"augment_target"}
    assert set(Config(augment_operations=("colour",)).ignored) == {"augment_operations"}
