import threading

import pytest

from export.servers import within


def test_work_within_a_deadline():
    assert within(5.0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda: 1 / 0)
    never = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, lambda: never.wait(30))
    never.set()
