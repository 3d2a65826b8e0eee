"""The variants of the model that the one step trains: who moves in which update, and by what."""

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.runs import checkpoint
from alae_tf.training.algorithm import UPDATES, Iteration
from alae_tf.training.saver import training_variables
from alae_tf.training.trainer import Trainer
from tests.helpers.training import assert_same_weights, pixels, train

STYLE = {
    "joint": {},
    "separate": dict(discriminator="separate"),
    "no_style": dict(encoder_head="dense"),
    "readout": dict(discriminator="separate", encoder_head="readout"),
    "z": dict(latent_regression="z"),
    "all": dict(discriminator="separate", encoder_head="dense", latent_regression="z"),
}
MLP = {name: STYLE[name] for name in ("separate", "z")}
VARIANTS = [("style", name) for name in STYLE] + [("mlp", name) for name in MLP]


@pytest.fixture
def variant(request, small, small_mlp):
    kind, name = request.param
    config = small_mlp if kind == "mlp" else small
    return config.replace(**STYLE[name])


all_variants = pytest.mark.parametrize("variant", VARIANTS, indirect=True, ids="_".join)


def one_update(trainer, update):
    """Makes one of the three updates, of new weights; returns the loss and what moved."""
    config, level = trainer.config, trainer.config.levels - 1
    trainer.set_learning_rate(level)
    before = {name: v.numpy() for name, v in training_variables(trainer).items()}
    iteration = Iteration(trainer, level, tf.constant(0.5), batch=8, r1=True)
    draw = trainer._draw(level, 8, tf.constant([0, 0], tf.int64))[update]
    real = pixels(config, level, 8) / np.float32(127.5) - 1
    chosen = next(each for each in UPDATES if each.name == update)
    loss = iteration.carry_out(chosen, tf.constant(real), draw)
    after = training_variables(trainer)
    moved = {name for name, value in before.items() if np.any(after[name].numpy() != value)}
    return float(loss), draw, {name.removeprefix("alae/") for name in moved if name[:5] == "alae/"}


@all_variants
@pytest.mark.parametrize("update", ["d", "g", "latent"])
def test_who_moves_in_which_update(variant, update):
    trainer = Trainer(variant)
    _, _, moved = one_update(trainer, update)
    joint = variant.discriminator == "joint"
    expected = {"d": "ED" if joint else "D", "g": "FG", "latent": "EG"}[update]
    assert {name[0] for name in moved if name != "w_avg"} == set(expected)
    counted = {}  # what LREQ Adam counts is what moves
    for optimizer in (trainer.optimizer_ed, trainer.optimizer_fg):
        for variable, _, t in optimizer.slots():
            counted[id(variable)] = float(t)
    for letter in "FGED":
        counts = {counted[id(v)] for v in getattr(trainer.alae, letter).trainable_variables}
        assert counts <= {0.0, 1.0}
        assert (1.0 in counts) == (letter in expected), letter


def test_every_layer_of_a_separate_discriminator_moves(small):
    trainer = Trainer(small.replace(discriminator="separate"))
    _, _, moved = one_update(trainer, "d")
    blocks = {f"D/blocks.{i}/{part}" for i in (0, 1) for part in ("conv_1/kernel", "conv_2/kernel")}
    rest = {"D/from_rgb.0/kernel", "D/from_rgb.1/kernel", "D/to_w/kernel", "D/to_w/bias"}
    assert blocks | rest <= moved


@pytest.mark.slow
def test_an_iteration_counts_e_once_with_a_separate_discriminator(small):
    for name, expected in (("joint", 2.0), ("separate", 1.0)):
        trainer = Trainer(small.replace(discriminator=name))
        trainer.set_learning_rate(0)
        trainer.step(pixels(small, 0, 8), 0, 0, 1.0)
        counts = {id(v): float(t) for v, _, t in trainer.optimizer_ed.slots()}
        assert counts[id(trainer.alae.E.blocks[1].conv_1.kernel)] == expected
        last = trainer.alae.D.dense[2] if name == "joint" else trainer.alae.D.to_w
        assert counts[id(last.kernel)] == 1.0  # not in update 3


@pytest.mark.parametrize("networks", ["EG", "EFG"])
def test_z_regression_by_hand(small_mlp, networks):
    trainer = Trainer(small_mlp.replace(latent_regression="z", latent_update=networks))
    output = trainer.alae.E.output_layer
    output.kernel.assign(tf.zeros(output.kernel.shape))
    output.bias.assign(tf.fill(output.bias.shape, 0.5))
    loss, draw, moved = one_update(trainer, "latent")
    assert loss == pytest.approx(np.mean((0.5 - draw.z.numpy()) ** 2), rel=1e-5)
    assert "E/output_layer/bias" in moved
    # E does not look at its image yet, so nothing that makes the image has a slope other than 0.
    assert not any(name[0] in "FG" for name in moved)


def test_f_moves_with_efg_and_z_regression(small_mlp):
    trainer = Trainer(small_mlp.replace(latent_regression="z", latent_update="EFG"))
    _, _, moved = one_update(trainer, "latent")
    assert {name[0] for name in moved if name != "w_avg"} == set("EFG")


def test_z_regression_asks_the_same_of_the_other_updates(small):
    losses = []
    for name in "wz":
        trainer = Trainer(small.replace(latent_regression=name))
        losses.append([one_update(trainer, "d")[0], one_update(trainer, "g")[0]])
    assert losses[0] == losses[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant",
    [("style", "all"), ("mlp", "separate")],
    indirect=True,
    ids="_".join,
)
def test_accumulated_parts_are_the_whole_batch(variant):
    images = pixels(variant, 0, 8)
    whole, losses = train(variant, None, images, 0, steps=1)
    parts, of_parts = train(variant.replace(accumulate=2), None, images, 0, steps=1)
    assert losses[0] == pytest.approx(of_parts[0], rel=1e-4)
    assert_same_weights(whole, parts)


def test_two_replicas_on_half_batches_are_one_on_the_whole(small_mlp):
    variant = small_mlp.replace(discriminator="separate")
    images = pixels(variant, 0, 8)
    one, losses_one = train(variant, None, images, 0, steps=1)
    reduction = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction)
    two, losses_two = train(variant, strategy, images, 0, steps=1)
    assert losses_one[0] == pytest.approx(losses_two[0], rel=1e-4)
    assert_same_weights(one, two)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_begins_as_float32_does(small, precision):
    config = small.replace(**STYLE["all"])
    losses = {}
    for each in ("float32", precision):
        trainer = Trainer(config.replace(precision=each))
        losses[each] = [one_update(trainer, update)[0] for update in ("d", "g", "latent")]
        assert all(np.isfinite(v).all() for v in trainer.alae.variables)
    assert losses[precision] == pytest.approx(losses["float32"], rel=0.05)


def test_xla_trains(small_mlp):
    variant = small_mlp.replace(discriminator="separate")
    images = pixels(variant, 0, 8)
    _, plain = train(variant, None, images, 0, steps=1)
    _, compiled = train(variant.replace(xla=True), None, images, 0, steps=1)
    assert plain[0] == pytest.approx(compiled[0], rel=1e-3)


@pytest.mark.parametrize(
    "variant",
    [
        v if v[0] == "mlp" or v[1] == "all" else pytest.param(v, marks=pytest.mark.slow)
        for v in VARIANTS
        if v[1] != "joint"
    ],
    indirect=True,
    ids="_".join,
)
def test_a_resumed_run_ends_with_the_same_bits(variant, tmp_path):
    whole, resumed = Trainer(variant), Trainer(variant.replace(seed=1))
    resumed.config = variant
    state = dict(level=0, blend=1.0, dataset_size=8, sums=[0.0] * 3, summed=0)
    images = pixels(variant, 0, 8)
    for trainer in (whole, resumed):
        trainer.set_learning_rate(0)
    whole.step(images, 0, 0, 1.0)
    checkpoint.save(training_variables(whole), tmp_path, state | {"images_seen": 8}, keep=1)
    assert checkpoint.restore(training_variables(resumed), tmp_path)["images_seen"] == 8
    for trainer in (whole, resumed):
        trainer.step(images, 0, 8, 1.0)
    ours, theirs = training_variables(whole), training_variables(resumed)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name].numpy(), theirs[name].numpy(), err_msg=name)


@pytest.mark.parametrize(
    "variant",
    [("style", "separate"), ("style", "no_style"), ("mlp", "separate")],
    indirect=True,
    ids="_".join,
)
def test_weights_of_the_joint_model_are_refused(variant):
    joint = variant.replace(discriminator="joint", encoder_head="styles")
    entries = {name: v.numpy() for name, v in training_variables(Trainer(joint)).items()}
    with pytest.raises(checkpoint.CheckpointError) as error:
        checkpoint.assign(training_variables(Trainer(variant)), entries)
    network = "E" if variant.discriminator == "joint" else "D"
    assert f"missing: alae/{network}/" in str(error.value)
    assert f"unknown: alae/{network}/" in str(error.value)
    assert "alae/F/" not in str(error.value)
