import io
import os

import numpy as np
import pytest

from alae_tf.evaluation.same_digit import same_digit
from alae_tf.evaluation.samples import Protocol, Samples
from alae_tf.features import digits
from alae_tf.features.weights import EvaluationError
from tests.helpers.fakes import Images, noise


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digits, "STEPS", 30)


def source(count=60):
    """Dark images of class 0 and bright ones of class 1."""
    labels = np.arange(count) % 2
    images = (noise(count, 12) // 4 + 150 * labels[:, None, None, None]).astype(np.uint8)
    return Images(images, labels, Images(images[:20], labels[:20]))


def test_classifier_is_trained_once(monkeypatch, capsys, tmp_path):
    images = source()
    net = digits.classifier(images, images.held_out, 12)
    assert net.accuracy == 1.0
    assert "images:" in capsys.readouterr().err
    features = net(images.images[:3])
    assert features.shape == (3, net.size) and features.dtype == np.float32
    monkeypatch.setattr(digits, "fit", lambda *args: pytest.fail("trained again"))
    again = digits.classifier(images, images.held_out, 12)
    assert again.sha256 == net.sha256 and again.accuracy == 1.0
    np.testing.assert_array_equal(again.classify(images.images), images.labels)
    other = Images(images.images[:20], 1 - images.labels[:20])  # held out, all labels wrong
    assert digits.classifier(images, other, 12).accuracy == 0.0
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    zeros = io.BytesIO()
    with np.load(io.BytesIO(whole)) as file:
        np.savez(zeros, *[np.zeros_like(array) for array in file.values()])
    for contents in (whole[:1000], zeros.getvalue(), b"text"):  # none is used
        path.write_bytes(contents)
        with pytest.raises(pytest.fail.Exception):
            digits.classifier(images, images.held_out, 12)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(pytest.fail.Exception):
        digits.classifier(images, images.held_out, 12)


def test_images_of_a_lower_level_are_enlarged():
    images = source()
    net = digits.classifier(images, images.held_out, 12)
    small = images.images[:, ::3, ::3]
    large = small.repeat(3, axis=1).repeat(3, axis=2)
    np.testing.assert_array_equal(net(small), net(large))


def test_no_labels():
    with pytest.raises(EvaluationError, match="--data=images:"):
        digits.classifier(Images(noise(4)), None, 8)


def test_images_too_small_for_the_classifier():
    images = source()
    with pytest.raises(EvaluationError, match="8 px"):
        digits.classifier(images, images.held_out, 8)


def test_same_digit_by_hand():
    """Reconstructions are turned from dark to bright for every fourth image."""

    class Model:
        resolution = 12

        def encode(self, images, layers=False):
            return images

        def decode(self, images, *rest):
            turned = images.copy()
            turned[3::4] += 150
            return turned

    images = source()
    images.held_out.labels[:] = 0
    images.held_out.images[:] = noise(20, 12) // 4
    net = digits.classifier(source(), source().held_out, 12)
    samples = Samples(Model(), images, Protocol(), {"digits": net})
    assert same_digit(samples) == 0.75
