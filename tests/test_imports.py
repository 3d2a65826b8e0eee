"""Which modules are imported when; pyproject.toml has further contracts."""

import subprocess
import sys

import pytest

from tests.paths import ROOT

HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib")


def imported(script, cwd=ROOT):
    """The names of all modules that a script imports, in a new process."""
    tell = "; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script + tell], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "script",
    [
        "import alae_tf; alae_tf.read_images",
        "import export.encode",
        "import alae_tf.train",
        "import alae_tf.prepare",
        "import alae_tf.data; alae_tf.data.open_source",
        "import export.__main__",
    ],
)
def test_light_modules_import_nothing_heavy(script):
    assert not imported(script) & set(HEAVY)


def test_loading_a_model_needs_no_training():
    modules = imported("import alae_tf.model.autoencoder")
    assert "tensorflow" in modules  # Keras imports scikit-learn and matplotlib by itself
    assert not any(name.startswith("alae_tf.training") for name in modules)
    assert "alae_tf.evaluation.representation" not in modules
    assert "alae_tf.images.plots" not in modules
