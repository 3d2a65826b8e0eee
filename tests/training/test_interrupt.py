import os
import signal
import subprocess
import sys
import time

import pytest

from alae_tf.training.interrupt import OVER_TIME, Interrupt
from tests.paths import ROOT

# Waits in C, where Python handles no signals, as while TensorFlow compiles a graph. (SIGTERM alone:
# `system` ignores SIGINT.)
IN_C = """
import ctypes
from alae_tf.training.interrupt import Interrupt
def say(what):
    print(what, flush=True)
    THEN
with Interrupt() as interrupt:
    interrupt.on_first = lambda: say("first")
    interrupt.on_second = lambda: say("second")
    print("ready", flush=True)
    ctypes.CDLL(None).system(b"sleep 30")
"""


def test_a_signal_is_noted_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with Interrupt() as interrupt:
        assert not interrupt.asked
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(lambda: interrupt.asked)
        assert (interrupt.reason, interrupt.exit_code) == ("stopped by SIGTERM", 143)
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1


def wait_until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("then", ["pass", "raise BrokenPipeError"])  # stderr is closed
def test_a_second_signal_ends_the_process_even_within_a_call_of_c(then):
    code = IN_C.replace("THEN", then)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "first\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "second\n"
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert time.monotonic() - begun < 20


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
