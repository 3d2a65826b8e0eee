import math
import types

import pytest

from alae_tf.runs.directory import RunDirectory
from alae_tf.system.errors import WarnOnce
from alae_tf.training import loop, quality
from alae_tf.training.quality import Quality
from alae_tf.training.schedule import Growth


class Progress:
    """Two levels of 100 images."""

    growth = Growth((100,), levels=2, total=200)
    images_seen = 0
    config = types.SimpleNamespace(evaluate_images=0, evaluate_count=500)
    level = property(lambda self: self.growth.at(self.images_seen).level)
    finished = property(lambda self: self.images_seen >= 200)


@pytest.fixture
def clock(monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(quality.time, "monotonic", lambda: clock.now)
    return clock


def measured(progress, clock, run_dir, cost, seconds, step=5):
    """Images seen at each measurement of a run of 200 images, each of which takes some seconds."""

    def measure(model):
        clock.now += cost
        return {"value": 1.0}

    judged, when = Quality(progress, run_dir, (measure, {"value": "lower"})), []
    judged.open()
    while not progress.finished:
        progress.images_seen += step
        clock.now += step * seconds
        if judged.due(progress.images_seen - step):
            when.append(progress.images_seen)
            judged.measure(None)
    return when


def test_a_few_times_for_each_level_where_measuring_is_cheap(clock, tmp_path):
    found = measured(Progress(), clock, tmp_path, cost=1.0, seconds=1000.0)
    assert found == [25, 50, 75, 125, 150, 175, 200]


@pytest.mark.parametrize("seconds", [0.5, 5.0, 20.0])
def test_less_than_5_percent_of_the_time(clock, tmp_path, seconds):
    found = measured(Progress(), clock, tmp_path, cost=15.0, seconds=seconds)
    assert 15 * len(found) <= 0.05 * clock.now
    assert len(found) == {0.5: 0, 5.0: 3, 20.0: 7}[seconds]


def test_in_steps_of_images_whatever_the_cost(clock, tmp_path):
    progress = Progress()
    progress.config = types.SimpleNamespace(evaluate_images=50)
    found = measured(progress, clock, tmp_path, cost=1e6, seconds=0.0)
    assert found == [50, 100, 150, 200]


@pytest.mark.parametrize(
    ("better", "kept"), [("lower", [True, False, True]), ("higher", [True, True, False])]
)
def test_the_best_of_a_level(tmp_path, monkeypatch, better, kept):
    progress, best, found = Progress(), None, []
    judged = Quality(progress, tmp_path, (lambda model: {}, {"value": better}))
    monkeypatch.setattr(quality, "best_checkpoint", lambda run_dir: best)
    for value in (2.0, 3.0, 1.0):
        about = judged.record({"value": value})
        found.append(about is not None)
        best = about or best
    assert found == kept
    progress.images_seen = 150
    best = judged.record({"value": 2.5})
    assert best["level"] == 1  # the first of a level
    worse = {"value": {"lower": 9.0, "higher": 0.0}[better]}
    assert judged.record(worse) is None
    best = best | {"count": 100}  # measured on fewer images
    assert judged.record(worse)["count"] == 500


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_never_the_best(tmp_path, value):
    judged = Quality(Progress(), tmp_path, (lambda model: {}, {"value": "higher"}))
    assert judged.record({"value": value}) is None
    assert judged.record({}) is None


def test_a_best_json_damaged_during_training_stays_and_training_continues(tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints/best.json"
    path.write_text("{")
    progress = Progress()
    progress.blend = 1.0
    judged = Quality(progress, tmp_path, (lambda model: {"value": 1.0}, {"value": "lower"}))
    run = types.SimpleNamespace(
        **dict(progress=progress, quality=judged, directory=RunDirectory(tmp_path)),
        sampler=types.SimpleNamespace(model=types.SimpleNamespace()),
        recorder=types.SimpleNamespace(measured=lambda values: None),
        _warn_once=WarnOnce("train", "training continues"),
    )
    assert loop.Run.measure(run) is None  # nothing to save as the best
    loop.Run.show_best(run)
    assert str(path) in capsys.readouterr().err
    assert path.read_text() == "{"
