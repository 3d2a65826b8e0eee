import numpy as np
import pytest
import tensorflow as tf

from alae_tf import memory
from alae_tf.networks import kernels
from alae_tf.training.trainer import Trainer

MIB = 2**20


def graph_of(function, *shapes):
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    return tf.function(function, autograph=False).get_concrete_function(*specs).graph


def test_peak_of_graphs_counted_by_hand():
    side = [512, 512]  # 1 MiB

    def chain(x):  # element-wise operations go on in one buffer
        return tf.nn.leaky_relu(tf.square(x @ x) * 2.0)

    assert memory.peak_bytes(graph_of(chain, side)) == MIB

    def held(x):  # a and b, then their product in place of one of them
        a, b = x @ x, tf.transpose(x) @ x
        return tf.reduce_sum(tf.reshape(a, [-1]) * tf.reshape(b, [-1]))

    assert memory.peak_bytes(graph_of(held, side)) == pytest.approx(3 * MIB, abs=100)

    def freed(x):
        return (x @ x) @ x

    assert memory.peak_bytes(graph_of(freed, side)) == 2 * MIB


def test_unknown_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        memory.peak_bytes(graph_of(tf.square, [None, 4]))


def test_the_graph_is_one_that_a_gpu_runs(small, monkeypatch):
    """Training on a CPU computes wide convolutions by other operations."""
    wide = small.replace(levels=1, start_channels=64, max_channels=64, epochs_by_level=(1.0,))
    used = []
    monkeypatch.setattr(kernels, "suits", lambda x, kernel: used.append(kernel) or False)
    (need,) = memory.by_level(wide)
    assert not used
    assert need.per_image > 4 * 64 * 4 * 4  # a feature map


@pytest.mark.slow
@pytest.mark.parametrize(
    "discriminator", ["joint", pytest.param("separate", marks=pytest.mark.slow)]
)
def test_memory_grows_with_images_and_level_and_shrinks_with_parts(small, discriminator):
    trainer = Trainer(small.replace(discriminator=discriminator))
    low, high = (memory.measure(trainer, level) for level in (0, 1))
    assert (low.resolution, high.resolution) == (4, 8)
    assert 2 * low.per_image < high.per_image < 8 * low.per_image
    weights = 4 * 2 * sum(np.prod(v.shape) for v in trainer.alae.variables)
    assert weights < low.fixed < 3 * weights
    need = memory.Memory(0, 4, fixed=1000.0, per_image=10.0)
    assert [need.largest_batch(room) for room in (900, 1009, 1010, 1079, 1080)] == [0, 0, 1, 4, 8]
