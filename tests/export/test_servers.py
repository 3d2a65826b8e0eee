import threading

import pytest

from export.servers import MOST_LATENT, ServerError, checked_size, within


def test_work_within_a_deadline():
    assert within(5.0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda: 1 / 0)
    never = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, lambda: never.wait(30))
    never.set()


@pytest.mark.parametrize("size", [0, -1, MOST_LATENT + 1, 99999999999])
def test_impossible_lengths_of_z(size):
    with pytest.raises(ServerError, match="http://a.*--latent_size"):
        checked_size(size, "http://a")
    assert checked_size(50, "http://a") == 50
