import os

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from alae_tf.training.events import Events


def steps(folder):
    board = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    board.Reload()
    return [event.step for event in board.Tensors("loss_d")]


@pytest.mark.parametrize("torn", [False, True])
def test_a_resumed_run_does_not_double_back(tmp_path, torn):
    first = Events(tmp_path)
    first.open(0)
    for step in (10, 20, 30, 40):
        first.scalars(step, {"loss_d": float(step)})
    first.image(40, np.zeros([4, 4, 1], np.uint8))
    first.flush()
    assert steps(tmp_path) == [10, 20, 30, 40]
    (path,) = tmp_path.iterdir()
    if torn:  # by a kill
        path.write_bytes(path.read_bytes()[:-7])
    second = Events(tmp_path)
    second.open(20)
    second.scalars(30, {"loss_d": 3.0})
    second.flush()
    # Files of one second are read in any order.
    assert sorted(steps(tmp_path)) == [10, 20, 30]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_is_none_of_ours_is_not_rewritten(tmp_path):
    path = tmp_path / "events.out.tfevents.mine"
    path.write_text("the own text of the user, longer than a header")
    os.mkfifo(tmp_path / "events.out.tfevents.pipe")
    Events(tmp_path).open(20)
    assert path.read_text().startswith("the own text")
