"""Messages for the errors that can end training, with a run whose checkpoint is kept."""

from types import SimpleNamespace

import pytest
import tensorflow as tf

from alae_tf.runs.checkpoint import NonFiniteError
from alae_tf.runs.directory import RunTakenError
from alae_tf.training.endings import LostImages, message

KEPT = "The checkpoint is kept."


def run(away=False, workers=1):
    """What `message` reads of a run."""
    return SimpleNamespace(
        directory=SimpleNamespace(path="runs/a", flag="--run_dir=runs/a"),
        reach=SimpleNamespace(away=away),
        saver=SimpleNamespace(kept=lambda: KEPT),
        workers=workers,
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NonFiniteError("loss_d is nan"), "--learning_rate_by_level"),
        (MemoryError(), "out of memory"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM\nof a tensor"), "--batch_by_level"),
        (tf.errors.UnavailableError(None, None, "socket closed"), "socket closed"),
        (LostImages("a.png is gone."), "a.png"),
        (OSError(28, "full"), "--run_dir=runs/a: full"),
        (OSError(28, "full", "b.npz"), "b.npz: full"),
    ],
)
def test_each_kind_names_its_cause_and_what_is_kept(error, said):
    found = message(error, run())
    assert said in found and KEPT in found and "\n" not in found
    assert "another worker" not in found


def test_a_directory_that_is_unreachable_or_taken():
    assert message(OSError(2, "gone"), run(away=True)).startswith("--run_dir=runs/a: is unreach")
    assert message(RunTakenError("--run_dir=runs/a: taken"), run()) == "--run_dir=runs/a: taken"


def test_with_several_workers_another_one_may_have_stopped():
    error = tf.errors.UnavailableError(None, None, "socket closed")
    assert "another worker" in message(error, run(workers=2))
