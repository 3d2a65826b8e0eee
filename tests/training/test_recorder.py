import os

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from alae_tf.training.recorder import event_writer


def steps(folder):
    board = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    board.Reload()
    return [event.step for event in board.Tensors("loss_d")]


def record(folder, images_seen, steps):
    with event_writer(folder, images_seen).as_default() as writer:
        for step in steps:
            tf.summary.scalar("loss_d", float(step), step)
        writer.flush()


@pytest.mark.parametrize("torn", [False, True])
def test_a_resumed_run_does_not_double_back(tmp_path, torn):
    record(tmp_path, 0, (10, 20, 30, 40))
    assert steps(tmp_path) == [10, 20, 30, 40]
    (path,) = tmp_path.iterdir()
    if torn:  # by a kill
        path.write_bytes(path.read_bytes()[:-7])
    record(tmp_path, 20, [30])
    # Files of one second are read in any order.
    assert sorted(steps(tmp_path)) == [10, 20, 30]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_is_none_of_ours_is_not_rewritten(tmp_path):
    path = tmp_path / "events.out.tfevents.mine"
    path.write_text("the own text of the user, longer than a header")
    os.mkfifo(tmp_path / "events.out.tfevents.pipe")
    event_writer(tmp_path, 20)
    assert path.read_text().startswith("the own text")
