import time

import pytest

from alae_tf.system import timing


def test_median_seconds_is_the_middle_one(monkeypatch):
    waits = iter((5.0, 1.0, 3.0))
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    assert timing.median_seconds(lambda: now.__setitem__(0, now[0] + next(waits)), 3) == 3.0


def test_the_rate_counts_two_operations_a_product(monkeypatch):
    monkeypatch.setattr(timing, "median_seconds", lambda call: 0.5)
    assert timing.matmul_gflops(10) == pytest.approx(4e-6)
