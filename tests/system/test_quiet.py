"""With a fake module named tensorflow that prints TensorFlow's log lines, and an error."""

import os
import subprocess
import sys

import pytest

from tests.paths import ROOT

NOISE = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795558260.292854   13287 port.cc:153] oneDNN custom operations are on.
I0000 00:00:1795558260.293210   13287 cudart_stub.cc:31] Could not find cuda drivers.
"""
SERIOUS = "E0000 00:00:1795558260.293210   13287 loader.cc:31] a library is damaged\n"


@pytest.mark.parametrize("end", ["", "os.abort()", "raise ImportError('no AVX')"])
@pytest.mark.parametrize("level", [None, "0"])
def test_noise_is_hidden_and_errors_are_not(tmp_path, end, level):
    fake = f"import os\nos.write(2, {(NOISE + SERIOUS + NOISE).encode()!r})\n{end}\n"
    (tmp_path / "tensorflow.py").write_text(fake)
    code = "from alae_tf.system import quiet; quiet.import_tensorflow(); print('after')"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    environment |= {"TF_CPP_MIN_LOG_LEVEL": level} if level else {}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stderr.count("oneDNN") == (2 if level else 0)
    assert SERIOUS in done.stderr
    assert ("after" in done.stdout) == (done.returncode == 0) == (not end)
    assert ("ImportError: no AVX" in done.stderr) == ("ImportError" in end)


def test_standard_error_may_be_closed(tmp_path):
    (tmp_path / "tensorflow.py").touch()
    code = "import os; os.close(2); import sys; sys.stderr = None\n"
    code += "from alae_tf.system import quiet; quiet.import_tensorflow(); print('after')"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, cwd=tmp_path
    )
    assert done.stdout == b"after\n"


def test_loading_a_model_is_quiet_too(small, tmp_path):
    from tests.helpers.runs import save_run

    run = save_run(small, tmp_path / "run")
    code = f"import alae_tf; print(alae_tf.load_model({str(run)!r}))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.startswith("<Autoencoder: style") and done.stderr == ""
