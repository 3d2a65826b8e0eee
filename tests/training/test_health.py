"""Numbers about a run, and the verdicts on runs that are made ill on purpose."""

import math

import numpy as np
import pytest

from alae_tf import data
from alae_tf.runs.directory import RunDirectory
from alae_tf.training import health, loop
from tests.helpers.fakes import Images, noise

WELL = dict.fromkeys([each.name for each in health.QUANTITIES], 0.0) | {
    "level": 0,
    "dependence": 0.5,
    "variety": 0.5,
}


@pytest.fixture
def train(small_mlp, tmp_path, monkeypatch, capsys, one_device):
    """Trains on 16 noise images, 64 others held out; returns the verdicts said and the rows."""
    source = Images(noise(16, 6), held_out=Images(noise(64, 6, seed=1)))
    monkeypatch.setattr(data, "open_source", lambda uri: source)
    config = small_mlp.replace(
        flip=False, ema_images=50, sample_images=400, log_images=400, epochs=200
    )

    def train(**changes):
        assert loop.train(config.replace(**changes), RunDirectory(tmp_path)) == 0
        said = capsys.readouterr().err
        rows = RunDirectory(tmp_path).metrics.rows()
        ill = {each.name for each in health.ill(health.history_of(rows))}
        return said, ill

    return train


def test_a_run_that_is_well_says_nothing(train):
    said, ill = train(ema_images=200, epochs=50)
    assert ill == set()
    assert "train: after" not in said


def test_an_r1_that_leaves_no_gradient_collapses(train):
    style = dict(architecture="style", image_size=28, hidden_size=1024, start_channels=4)
    said, ill = train(
        **style,
        max_channels=4,
        r1_gamma=1e6,
        sample_images=40,
        log_images=40,
        ema_images=10,
        epochs=10,
    )
    assert "collapsed" in ill, said
    assert said.count("--r1_gamma (now 1e+06)") == 1


def test_few_images_without_r1_are_learnt_by_heart(train):
    said, ill = train(
        r1_gamma=0.0, hidden_size=128, learning_rate_by_level=(0.01,), ema_images=200, epochs=75
    )
    assert ill == {"overfitting"}
    assert said.count("--augment=ada") == 1


def test_a_learning_rate_that_is_far_too_high_diverges(train):
    said, ill = train(learning_rate_by_level=(5.0,), r1_gamma=0.0, epochs=50)
    assert "diverging" in ill
    assert said.count("--learning_rate_by_level (now 5)") == 1


def test_an_ema_that_outlives_the_run(train):
    said, ill = train(ema_images=10_000.0, epochs=25)
    assert ill == {"EMA too slow"}
    assert said.count("--ema_images (now 10,000)") == 1


def test_overfitting_is_1_where_held_out_images_are_taken_for_generated_ones():
    class Sample:
        logits = {
            "train": np.full(4, 3.0),
            "test": np.full(4, 1.0),
            "generated": np.full(4, -1.0),
        }

    assert health.overfitting(Sample()) == pytest.approx(0.5)  # (3 − 1) / (3 − −1)
    Sample.logits = Sample.logits | {"test": np.full(4, -1.0)}
    assert health.overfitting(Sample()) == pytest.approx(1.0)
    Sample.logits = Sample.logits | {"test": np.array([-1.0, 3.0])}  # 1 ± 1.4
    assert health.overfitting(Sample()) == 0.0
    del Sample.logits["test"]
    assert math.isnan(health.overfitting(Sample()))


def test_spread_is_the_root_of_the_mean_variance():
    assert health.spread(np.array([[0.0, 1.0], [4.0, 1.0]])) == pytest.approx(math.sqrt(2.0))


def test_equal_images_have_no_ratio():
    assert math.isnan(health.ratio(np.eye(2), np.ones([2, 2])))
    assert health.ratio(np.eye(2), 2 * np.eye(2)) == pytest.approx(0.5)


def test_a_verdict_needs_its_grids_in_a_row():
    ill = WELL | {"dependence": 0.01}
    assert health.ill([WELL, ill]) == []
    assert [each.name for each in health.ill([WELL, *[ill] * 4])] == ["collapsed"]
    assert health.ill([*[ill] * 4, WELL]) == []


def test_gradients_are_compared_within_a_level():
    grown = WELL | {"gradient_G": 500.0}
    before = WELL | {"gradient_G": 1.0}
    assert [each.name for each in health.ill([before, grown])] == ["diverging"]
    assert health.ill([before, grown | {"level": 1}]) == []


def test_rows_of_earlier_versions_have_no_history():
    assert health.history_of([{"images_seen": "8", "level": "0", "loss_d": "1.3"}]) == []
