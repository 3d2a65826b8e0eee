"""The command line ↔ Config."""

import subprocess
import sys

import pytest

from alae_tf.config import GROUPS, Config, ConfigError, flags
from tests.paths import ROOT


def parse(*arguments):
    parser = flags.Parser("alae_tf.some", "What it does.")
    parser.add_argument("--run_dir")
    return parser.parse(arguments)


def test_a_flagfile_then_changes():
    smoke = ROOT / "configs" / "smoke.cfg"
    _, config = parse(f"--flagfile={smoke}", "--seed=5", "--batch_by_level=8,4", "--noflip")
    assert config == Config.load(smoke).replace(seed=5, batch_by_level=(8, 4), flip=False)


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("--levles=4", "--levels"),
        ("--run_dri=a", "--run_dir"),
        ("--levels=four", "--levels=four"),
        ("--architecture=cnn", "--architecture=cnn"),
        ("levels=4", "levels=4"),
        ("--levels=99999999999999999999", "--levels=99999999999999999999"),
        ("--epochs=1e308", "--epochs=1e+308"),
        ("--flagfile=none.cfg", "--flagfile=none.cfg"),
        ("--slow_copy_images=5000", "--ema_images"),
        ("--levels", "--levels"),
        ("--flip=maybe", "--flip=maybe"),
    ],
)
def test_errors_name_the_flag(argument, named):
    with pytest.raises(ConfigError) as error:
        parse(argument, "--seed=1")
    assert named in str(error.value)


def test_an_old_name_in_a_flagfile_is_refused(tmp_path):
    path = tmp_path / "old.cfg"
    path.write_text("--levels=4\n--slow_copy_images=5000\n")
    with pytest.raises(ConfigError, match="--ema_images"):
        parse(f"--flagfile={path}")


def test_own_flags_and_settings_in_every_form(tmp_path):
    path = tmp_path / "quoted.cfg"
    path.write_text('--data="folder:/a \\n"\n--run_dir=of the file\n--flip=false\n')
    own, config = parse(f"--flagfile={path}", "--levels", "3", "-epochs", "2", "--xla")
    assert own.run_dir == "of the file"
    expected = Config(data="folder:/a \n", levels=3, epochs=2.0, xla=True, flip=False)
    assert config == expected
    assert parse("--run_dir", "a", "--noxla")[0].run_dir == "a"


def test_settings_that_an_mlp_ignores_are_reported(capsys):
    parse("--architecture=mlp", "--levels=1", "--style_mixing=0.5")
    assert "--style_mixing" in capsys.readouterr().err


def test_help_has_all_settings_in_groups_with_their_defaults():
    script = (
        "import sys; from alae_tf.config import flags\n"
        "try: flags.Parser('alae_tf.some', 'What it does.').parse()\n"
        "finally: assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", script, "--help", "--flagfile=configs/smoke.cfg"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    places = [done.stdout.index(f"\n{group}:\n  {text}\n") for group, text in GROUPS.items()]
    assert places == sorted(places)
    order = ["--flagfile FILE", "--data ", "--levels ", "--epochs ", "--batch_by_level "]
    first = [done.stdout.index(f"\n  {flag}") for flag in order]
    assert first == sorted(first) and first[-1] < places[0]
    for name in vars(Config()):
        assert done.stdout.count(f"  --{name} ") + done.stdout.count(f"  --{name},") == 1, name
    words = " ".join(done.stdout.split())
    assert "[LOD_2_BATCH_8GPU]. Default: 128" in words
    assert all(option in words for option in ("?test=", "?labels=", "?channels="))
    assert "--flip {true,false} Mirror images" in words
    assert "--latent_update {EG,EFG,E}" in words
