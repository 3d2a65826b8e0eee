"""Order, resume, flips, caching and distribution of batches."""

import gc
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from alae_tf.data import (
    DataError,
    Source,
    all_images,
    batches,
    epoch_order,
    fixed_images,
    open_source,
    pipeline,
)
from alae_tf.system.errors import reason
from tests.paths import ROOT


class Numbered(Source):
    """Image i holds the number i everywhere but in its left column, which is 200."""

    uri, channels = "numbered:", 1

    def __init__(self, size, width=4):
        self.size, self.width, self.decoded = size, width, []

    def __len__(self):
        return self.size

    def image(self, index):
        self.decoded.append(index)
        image = np.full([self.width, self.width, 1], index, np.uint8)
        image[:, 0] = 200
        return image


def numbers(dataset, count):
    return [batch[:, 0, 1, 0].tolist() for batch in dataset.take(count).as_numpy_iterator()]


def test_epoch_order_depends_on_seed_and_epoch_alone():
    assert epoch_order(6, seed=0, epoch=0).tolist() == epoch_order(6, 0, 0).tolist()
    orders = {tuple(epoch_order(6, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9 and all(sorted(order) == list(range(6)) for order in orders)
    assert epoch_order(6, 0, 0).dtype == np.int64


def test_epochs_follow_without_a_gap():
    got = np.ravel(numbers(batches(Numbered(10), 4, 4, seed=1), 5))
    assert got.tolist() == [*epoch_order(10, 1, 0), *epoch_order(10, 1, 1)]


@pytest.mark.parametrize("cache", [0, 2**31])
def test_a_resumed_run_sees_the_same_bits(cache, monkeypatch):
    monkeypatch.setattr(pipeline, "CACHE_BYTES", cache)
    whole = np.stack(list(batches(Numbered(10), 4, 3, 5, flip=True).take(9).as_numpy_iterator()))
    resumed = batches(Numbered(10), 4, 3, 5, start=4 * 3, flip=True).take(5)
    assert np.array_equal(whole[4:], np.stack(list(resumed.as_numpy_iterator())))


def test_another_seed_is_another_order():
    first, second = (numbers(batches(Numbered(10), 4, 10, seed), 1) for seed in (0, 1))
    assert first != second


def test_a_batch_larger_than_the_set():
    dataset = batches(Numbered(3), 4, 8, seed=2)
    expected = np.concatenate([epoch_order(3, 2, epoch) for epoch in range(6)])[:16]
    assert np.ravel(numbers(dataset, 2)).tolist() == expected.tolist()
    assert dataset.element_spec == tf.TensorSpec([8, 4, 4, 1], tf.uint8)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY


def test_flips_mirror_half_of_the_images_left_to_right():
    plain = next(batches(Numbered(100), 4, 400, seed=0).as_numpy_iterator())
    mixed = next(batches(Numbered(100), 4, 400, seed=0, flip=True).as_numpy_iterator())
    mirrored = mixed[:, 0, 3, 0] == 200
    assert 160 < mirrored.sum() < 240
    assert np.array_equal(mixed[mirrored], plain[mirrored, :, ::-1])
    assert np.array_equal(mixed[~mirrored], plain[~mirrored])
    drawn = np.random.default_rng([0, 0x666C6970, 0]).random(400) < 0.5  # "flip"
    assert np.array_equal(mirrored, drawn)


def test_flips_leave_the_kept_images_alone():
    source = Numbered(5)
    list(batches(source, 4, 5, seed=0, flip=True).take(4))
    assert (next(batches(source, 4, 5, seed=0).as_numpy_iterator())[:, :, 0] == 200).all()


def test_nothing_is_decoded_twice_while_the_cache_holds(monkeypatch):
    source = Numbered(10)
    numbers(batches(source, 4, 4, seed=0), 20)
    numbers(batches(source, 4, 5, seed=0), 20)  # another batch size, the same images
    assert sorted(source.decoded) == list(range(10))
    monkeypatch.setattr(pipeline, "CACHE_BYTES", 10 * 2 * 2 - 1)
    numbers(batches(source, 2, 5, seed=0), 4)  # one byte too many
    assert len(source.decoded) >= 10 + 20


def test_an_older_resolution_still_works_beside_a_newer_one():
    source = Numbered(10)
    old = batches(source, 4, 5, seed=0).as_numpy_iterator()
    new = batches(source, 2, 5, seed=0).as_numpy_iterator()
    order = [*epoch_order(10, 0, 0), *epoch_order(10, 0, 1)]
    assert np.concatenate([next(old)[:, 0, 1, 0] for _ in range(4)]).tolist() == order
    assert next(new).shape == (5, 2, 2, 1)


def test_arrays_and_fixed_images():
    source = Numbered(9)
    assert all_images(source, 4)[:, 0, 1, 0].tolist() == list(range(9))
    assert fixed_images(source, 4, 3)[:, 0, 1, 0].tolist() == [0, 4, 8]
    assert fixed_images(source, 4, 12)[:, 0, 1, 0].tolist() == [0, 0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8]
    source.held_out = Numbered(5)
    assert fixed_images(source, 4, 3)[:, 0, 1, 0].tolist() == [0, 2, 4]
    assert fixed_images(source, 4, 6)[-1, 0, 1, 0] == 8  # five are too few


def test_errors_of_the_source_reach_the_consumer():
    class Broken(Numbered):
        def image(self, index):
            raise DataError("broken: nothing can be read")

    with pytest.raises(tf.errors.OpError, match="broken: "):
        next(iter(batches(Broken(4), 4, 2, seed=0)))


def test_tf_datas_error_contains_the_sources_message(tmp_path):
    photos = tmp_path / os.fsdecode(b"f\xf6lder")
    photos.mkdir()
    Image.new("RGB", (8, 8)).save(photos / "a.png")
    dataset = batches(open_source(f"folder:{photos}"), 4, 2, seed=0)
    shutil.rmtree(photos)
    with pytest.raises(tf.errors.OpError) as error:
        next(iter(dataset))
    said = reason(error.value.message)
    assert said.startswith(f"--data=folder:{tmp_path}/f\\udcf6lder: ")


@pytest.mark.slow
def test_levels_come_and_go_without_leaving_threads():
    source, before = Numbered(20, width=64), None
    for level in range(12):
        iterator = iter(batches(source, 4 * 2 ** (level % 4), 8, seed=0))
        next(iterator)
        del iterator
        gc.collect()
        if level == 3:
            before = threading.active_count()
    assert threading.active_count() <= before
    assert pipeline._kept[source][0].shape[1] == 32  # and of all levels only the last is kept


SCRIPT = """
import sys
import numpy as np, tensorflow as tf
from alae_tf.data import Source, batches, epoch_order, pipeline
from tests.data.test_pipeline import Numbered

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
pipeline.CACHE_BYTES = 0  # so that the read-ahead is at work when the script ends
source = Numbered(100, 512)
iterator = iter(strategy.distribute_datasets_from_function(
    lambda context: batches(source, 4, 64, seed=0).rebatch(32, drop_remainder=True)
))
parts = strategy.experimental_local_results(next(iterator))
assert [part.shape.as_list() for part in parts] == [[32, 4, 4, 1]] * 2
got = np.concatenate([part.numpy()[:, 0, 1, 0] for part in parts])
small = Numbered(100, 512)
order = epoch_order(100, 0, 0)[:64]
assert got.tolist() == [small.fitted(i, 4)[0, 1, 0] for i in order]
print("two halves")
"""


def test_two_replicas_share_a_batch_and_the_interpreter_ends():
    """In a process of its own: logical devices are set once, and an unended iterator must not
    keep the interpreter from ending."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )
    assert (run.returncode, run.stdout) == (0, "two halves\n"), run.stderr
    assert "Traceback" not in run.stderr


def test_each_worker_reads_its_part_of_every_batch():
    kwargs = dict(resolution=4, batch_size=8, seed=3, start=16, flip=True)
    whole = batches(Numbered(20, 4), **kwargs)
    halves = [batches(Numbered(20, 4), **kwargs, worker=i, workers=2) for i in range(2)]
    for batch, *parts in zip(whole.take(4), *halves, strict=False):
        np.testing.assert_array_equal(batch, np.concatenate(parts))
