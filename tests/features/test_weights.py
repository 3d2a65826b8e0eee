import hashlib
import os
import pickle

import numpy as np
import pytest

from alae_tf.features import weights
from alae_tf.features.weights import EvaluationError
from alae_tf.system import npm


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


@pytest.fixture
def face_api(monkeypatch):
    """Stands for npm: writes the file of weights and its manifest with the expected checksums."""
    contents = {weights.IDENTITY: b"numbers", weights.IDENTITY_MANIFEST: b"names"}

    def fetch(packages, folder):
        assert packages == (weights.FACE_API,)
        folder.mkdir(parents=True)
        for name, data in contents.items():
            (folder / name).write_bytes(data)

    monkeypatch.setattr(npm, "fetch", fetch)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    monkeypatch.setattr(weights, "SHA256", weights.SHA256 | sums)
    return sums


def test_npm_fetches_a_file_once(face_api, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "cache" / "face-api-1.7.15"
    expected = (folder / weights.IDENTITY, face_api[weights.IDENTITY])
    assert weights.find(weights.IDENTITY) == expected
    assert str(folder) in capsys.readouterr().err
    monkeypatch.delattr(npm, "fetch")
    assert weights.find(weights.IDENTITY) == expected
    assert weights.find(weights.IDENTITY, expected[0]) == expected


def test_the_file_beside_it_is_verified_too(face_api, tmp_path):
    path, _ = weights.find(weights.IDENTITY)
    manifest = path.with_name(weights.IDENTITY_MANIFEST)
    manifest.write_bytes(b"other names")
    with pytest.raises(EvaluationError, match=str(manifest)):
        weights.find(weights.IDENTITY)
    manifest.unlink()
    with pytest.raises(EvaluationError, match=str(manifest)):
        weights.find(weights.IDENTITY)


def test_a_file_that_npm_cannot_fetch(tmp_path, monkeypatch):
    monkeypatch.setattr(npm, "command", lambda: [])
    path = tmp_path / "cache" / "face-api-1.7.15" / weights.IDENTITY
    with pytest.raises(EvaluationError, match=f"{path}.*npm.*--identity=FILE") as error:
        weights.find(weights.IDENTITY)
    assert error.value.exit_code == 2
    with pytest.raises(EvaluationError, match="/nowhere/a.bin.*--identity=FILE"):
        weights.find(weights.IDENTITY, "/nowhere/a.bin")
    monkeypatch.setattr(npm, "pack", lambda package, scratch: b"another archive")
    with pytest.raises(EvaluationError, match=f"{path}.*sha512-"):
        weights.find(weights.IDENTITY)
    assert not path.exists()
    (tmp_path / "cache" / "face-api-1.7.15").mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"something else")
    with pytest.raises(EvaluationError, match=f"{path}.*SHA-256"):
        weights.find(weights.IDENTITY)


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
