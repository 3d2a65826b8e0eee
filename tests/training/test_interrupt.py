import os
import signal
import time

from alae_tf.training.interrupt import OVER_TIME, Interrupt


def test_a_signal_is_noted_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with Interrupt() as interrupt:
        assert not interrupt.asked
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        assert interrupt.asked
        assert (interrupt.reason, interrupt.exit_code) == ("stopped by SIGTERM", 143)
        assert signal.getsignal(signal.SIGTERM) is before  # a second one kills
    assert signal.getsignal(signal.SIGTERM) is before


def test_hours_run_out(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    interrupt = Interrupt(max_hours=2.0)
    now = 7199.0
    assert not interrupt.asked
    now = 7201.0
    assert interrupt.asked
    assert interrupt.reason.startswith("stopped after --max_hours=")
    assert interrupt.exit_code == OVER_TIME == 75
