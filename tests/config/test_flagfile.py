"""Flagfiles: absl's syntax, and quoting."""

import os

import pytest
from absl import flags as absl_flags

from alae_tf.config import Config, flagfile
from alae_tf.system.errors import ConfigError
from tests.paths import ROOT

DIALECT = """\ufeff# A comment.
// Another.

  --levels=3\t
-latent_size=16
--noflip
--xla
--seed
7
--flagfile={other}
--epochs=2
"""
OTHER = """--data=folder:/a b?channels=1 # not a comment
--batch_by_level=8,4
--epochs=1
"""


@pytest.fixture
def dialect(tmp_path):
    (tmp_path / "other.cfg").write_text(OTHER)
    path = tmp_path / "dialect.cfg"
    path.write_text(DIALECT.format(other=tmp_path / "other.cfg"), encoding="utf-8")
    return path


def test_config_load_reads_the_whole_dialect(dialect):
    assert Config.load(dialect) == Config(
        levels=3,
        latent_size=16,
        flip=False,
        xla=True,
        seed=7,
        data="folder:/a b?channels=1 # not a comment",
        batch_by_level=(8, 4),
        epochs=2.0,
    )


def test_absl_reads_the_same(dialect):
    """Except for the byte order mark, which absl takes for a flag."""
    dialect.write_text(dialect.read_text().removeprefix("\ufeff"))
    values = absl_flags.FlagValues()
    for name in ("levels", "latent_size", "seed", "data", "batch_by_level", "epochs"):
        absl_flags.DEFINE_string(name, None, "", flag_values=values)
    for name in ("flip", "xla"):
        absl_flags.DEFINE_bool(name, None, "", flag_values=values)
    absl_flags.DEFINE_string("flagfile", None, "", flag_values=values)
    values(["program", f"--flagfile={dialect}"])
    ours = Config.load(dialect)
    assert Config.from_text(
        {name: str(values[name].value) for name in values if name != "flagfile"}
    ) == (ours)


@pytest.mark.parametrize(
    "value",
    [
        "folder:/ends in a blank ",
        " begins with one",
        "a#b // c",
        "# not a comment",
        '"quoted"',
        'a "quote" and \\ backslash',
        "größe/写真?channels=1",
        "two\nlines\r\n",
        "line\u2028separator\x0c\x1c\x85",
        "no\xa0break",
        b"latin-1 \xe9\xff".decode(errors="surrogateescape"),
        "😀",
        "",
    ],
)
def test_every_value_goes_both_ways(tmp_path, value):
    path = tmp_path / "config.cfg"
    config = Config(data=value)
    path.write_bytes(config.to_flagfile().encode())
    assert Config.load(path) == config
    assert f"--data={value}" in flagfile.expand([f"--flagfile={path}"])


def test_plain_values_are_not_quoted():
    for value in ("folder:/a b?channels=1", "1,2", "größe", 'a"b'):
        assert flagfile.quote(value) == value


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("--levels=4\nflip\n", "line 2: 'flip'"),
        ("--levels 4\n", "line 1: '--levels 4'"),
        ('--data="folder:/a\n', "line 1: '--data="),
        ("--levels\n--seed=1\n", "--levels:"),
        ("--seed=1\n--levels\n", "--levels:"),
        ("--flip\nfalse\n", "'false'"),
        ("--flagfile=none.cfg\n", "--flagfile=none.cfg:"),
        ("--flagfile=\n", "--flagfile=:"),
        ("--lvels=4\n", "--lvels:"),
    ],
)
def test_errors_name_the_file_and_the_line_or_flag(tmp_path, text, named):
    path = tmp_path / "bad.cfg"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        Config.load(path)
    assert named in str(error.value)
    assert str(error.value).startswith(f"{path}")


def test_directories_binary_files_and_pipes_are_refused(tmp_path):
    (tmp_path / "binary.cfg").write_bytes(b"\x89PNG\xff")
    os.mkfifo(tmp_path / "pipe.cfg")
    for path in (tmp_path, tmp_path / "binary.cfg", tmp_path / "pipe.cfg"):
        with pytest.raises(ConfigError, match=f"{path}"):
            Config.load(path)


def test_a_flagfile_that_includes_itself(tmp_path):
    path = tmp_path / "a.cfg"
    path.write_text(f"--flagfile={path}\n")
    with pytest.raises(ConfigError, match="a.cfg"):
        Config.load(path)
    for number in range(20):
        (tmp_path / f"{number}.cfg").write_text(f"--flagfile={tmp_path}/{number + 1}.cfg\n")
    with pytest.raises(ConfigError, match="0.cfg"):
        Config.load(tmp_path / "0.cfg")


def test_shipped_configs_go_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("smoke", "smoke.cfg", "configs/smoke.cfg"):
        assert flagfile.find(name) == ROOT / "configs" / "smoke.cfg"
    (tmp_path / "smoke").mkdir()  # a directory is no flagfile
    assert flagfile.find("smoke") == ROOT / "configs" / "smoke.cfg"
    (tmp_path / "smoke.cfg").write_text("--levels=2\n")  # the user's own comes first
    assert flagfile.find("smoke.cfg").resolve() == tmp_path / "smoke.cfg"


def test_expanded_arguments_stand_where_the_flagfile_stood(tmp_path):
    (tmp_path / "a.cfg").write_text("--levels=3\n")
    a = str(tmp_path / "a.cfg")
    arguments = ["--seed=1", "--flagfile", a, "--seed=2", "--", f"--flagfile={a}"]
    assert flagfile.expand(arguments) == ["--seed=1", "--levels=3", "--seed=2", *arguments[-2:]]
