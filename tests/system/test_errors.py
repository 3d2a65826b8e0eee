"""How commands report errors that users can fix."""

import sys
from pathlib import Path

import pytest

from alae_tf.system.errors import (
    AlaeError,
    ConfigError,
    WarnOnce,
    guarded,
    printable,
    program,
    reason,
    told,
)


class Failed(AlaeError):
    exit_code = 1


def test_exit_codes_and_messages(capsys):
    def wrong():
        raise ConfigError("--levels=0: must be 1 to 9.")

    def failed():
        raise Failed("unreachable")

    def stopped():
        raise KeyboardInterrupt

    assert guarded("train", lambda: None) == 0
    assert guarded("train", lambda: 75) == 75
    assert guarded("train", wrong) == 2
    assert guarded("train", failed) == 1
    assert guarded("train", stopped) == 130
    expected = "train: --levels=0: must be 1 to 9.\ntrain: unreachable\ntrain: stopped.\n"
    assert capsys.readouterr().err == expected


def test_a_file_that_the_system_refuses_is_named(tmp_path, capsys):
    assert guarded("export", lambda: open(tmp_path / "x").close()) == 1
    assert f"{tmp_path}/x" in capsys.readouterr().err
    assert told(OSError(28, "No space left on device")) == "No space left on device"


def test_a_deleted_working_directory_is_reported(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for work in (lambda: Path("out").mkdir(), lambda: Path("out").resolve().mkdir()):
        assert guarded("demo", work) == 1
        assert "working directory" in capsys.readouterr().err


def test_errors_that_users_cannot_fix_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        guarded("train", lambda: 1 // 0)


def test_arguments_that_are_not_utf8_are_refused_before_the_work(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["alae train", "--run_dir=runs/\udcff"])
    assert guarded("train", lambda: pytest.fail("started work")) == 2
    assert "--run_dir=runs/\\udcff" in capsys.readouterr().err


def test_control_characters_are_escaped():
    text = "a\x1b[2Jb\x07\n\tc\u202e\udcffé"
    assert printable(text) == "a\\x1b[2Jb\\x07\n\tc\\u202e\\udcffé"


def test_the_command_as_it_was_typed(monkeypatch):
    for typed, shown in (
        ("alae train", "alae train"),
        ("python -m alae_tf train", "python -m alae_tf train"),
        ("/a/alae_tf/train.py", "python -m alae_tf.train"),
    ):
        monkeypatch.setattr(sys, "argv", [typed])
        assert program("alae_tf.train") == shown


def test_the_reason_in_a_message_of_tensorflow():
    message = """Graph execution error:

Detected at node Reduce defined at (most recent call last):
  File "a.py", line 1, in <module>
<stack traces unavailable>
Collective ops is aborted by: Socket closed.
\t [[{{node Reduce}}]] [Op:__inference_step]"""
    assert reason(message) == "Collective ops is aborted by: Socket closed"
    assert reason("short") == "short"
    wrapped = "{{function_node IteratorGetNext}} Error in: x\nDataError: a.png: gone.\n\t [[x]]"
    assert reason(wrapped) == "a.png: gone"


def test_failures_are_reported_once_whatever_their_message(capsys):
    class Unreadable(Exception):
        def __str__(self):
            raise TypeError

    warn_once = WarnOnce("train", "training continues")
    for error in (Unreadable(), ValueError("\x1b[2J")):
        for _ in range(2):
            with warn_once.on_failure(type(error).__name__):
                raise error
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "Unreadable" in lines[0] and "\\x1b[2J" in lines[1]
