import os
import pickle

import numpy as np
import pytest

from alae_tf.features import weights
from alae_tf.features.weights import EvaluationError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)


@pytest.mark.parametrize("name", [weights.INCEPTION, weights.LPIPS_VGG])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(EvaluationError, match=str(tmp_path / "cache" / name)):
        weights.find(name)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(b"something else")
    with pytest.raises(EvaluationError, match="other.pth"):
        weights.find(weights.INCEPTION, path)


def test_only_arrays_are_unpickled(tmp_path):
    path = tmp_path / "weights.pickle"
    tree = {"A": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, "b": np.ones(2)}
    path.write_bytes(pickle.dumps(tree, 3))
    arrays = weights.read_lpips(path)
    assert list(arrays) == ["A/kernel", "b"]
    np.testing.assert_array_equal(arrays["A/kernel"], tree["A"]["kernel"])

    class Harm:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'harm'}",)

    path.write_bytes(pickle.dumps({"A": Harm()}))
    with pytest.raises(EvaluationError, match="weights.pickle.*system"):
        weights.read_lpips(path)
    assert not (tmp_path / "harm").exists()
    path.write_bytes(pickle.dumps(tree)[:50])
    with pytest.raises(EvaluationError, match="weights.pickle"):
        weights.read_lpips(path)
