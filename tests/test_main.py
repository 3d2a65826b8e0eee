"""`alae COMMAND …` and `python -m alae_tf COMMAND …`."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest

import alae_tf
from alae_tf.__main__ import COMMANDS, locate, main
from tests.paths import ROOT


def alae(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/alae", *arguments])
    monkeypatch.setattr(sys, "path", list(sys.path))
    return main()


@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_help_lists_every_command_with_a_line(monkeypatch, capsys, flag):
    assert alae(monkeypatch, flag) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in COMMANDS:
        assert any(line.split()[:1] == [name] and len(line.split()) > 3 for line in lines), name


def test_version(monkeypatch, capsys):
    assert alae(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"alae {alae_tf.__version__}\n"


@pytest.mark.parametrize(("arguments", "named"), [(["trian"], "'trian'"), ([], "")])
def test_no_such_command(monkeypatch, capsys, arguments, named):
    assert alae(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert named in error
    assert "usage: alae COMMAND" in error


def test_every_command_exists_and_its_help_shows_every_default():
    """In a new process and without the installed package, as in a bare clone."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    names = sorted(COMMANDS)
    code = "\n".join(
        [
            "import sys; from alae_tf.__main__ import main",
            f"for name in {names}:",
            "    sys.argv = ['bin/alae', name, '--help']",
            "    try: main()",
            "    except SystemExit as stop: assert stop.code in (0, None), (name, stop.code)",
            "    assert 'tensorflow' not in sys.modules, name",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    helps = dict(re.findall(r"usage: alae (\S+)(.*?)(?=\nusage: |\Z)", done.stdout, re.S))
    assert set(helps) == set(names)
    for name in ("train", "prepare", "evaluate", "align", "directions", "benchmark", "memory"):
        flags = re.findall(r"^  (--.*?)(?=^  -|^\S|^$)", helps[name], re.M | re.S)
        assert len(flags) > 4
        for flag in flags:
            assert "Default:" in " ".join(flag.split()) or "Required" in flag, (name, flag)


def test_exit_codes_are_the_commands():
    command = [sys.executable, "-m", "alae_tf", "train", "--run_dir=x", "--levels=x"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--levels=x" in done.stderr


def test_export_is_found_in_a_bare_clone_too(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert locate("alae_tf.train") == "alae_tf.train"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert locate("alae_tf.export.encode") == "alae_tf.export.encode"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert locate("alae_tf.export.encode") == "export.encode"
    assert sys.path[0] == str(ROOT)
