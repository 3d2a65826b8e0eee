import io
import os

import numpy as np
import pytest

from alae_tf.evaluation.baseline import PrincipalComponents
from alae_tf.evaluation.samples import Protocol, Samples
from alae_tf.features.weights import EvaluationError
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from tests.helpers.fakes import Images, Means, noise


@pytest.fixture
def model(small):
    return Autoencoder(small, build_alae(small))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))


def source(count=100, seed=0):
    return Images(noise(7), held_out=Images(noise(count, seed=seed)))


def joined(parts):
    return np.concatenate(list(parts))


def test_images_of_each_kind(model):
    samples = Samples(model, source(), Protocol(images=70, noise="const"))
    real = joined(samples.real())
    np.testing.assert_array_equal(real[[0, 69]], source().held_out.images[[0, 98]])
    generated = joined(samples.generated())
    np.testing.assert_array_equal(generated, model.generate(70, seed=0, psi=1.0))
    made = joined(samples.reconstructed())
    np.testing.assert_array_equal(made, model.reconstruct(real))
    assert samples.counts == {"real": 70, "generated": 70, "reconstructed": 70}


def test_style_mixing(model, monkeypatch):
    """Up to a random layer, at least one, the styles are those of w; then those of another w."""
    monkeypatch.setattr(Samples, "decode", lambda self, codes, start: codes)
    w, kept = model.sample_w(200)[:, np.newaxis], {}
    for p in (0.0, 0.5, 1.0):
        styles = joined(Samples(model, source(200), Protocol(style_mixing=p)).generated())
        same = (styles == w).all(axis=2)  # [images, styles]
        kept[p] = same.sum(axis=1)
        np.testing.assert_array_equal(same, np.arange(4) < kept[p][:, np.newaxis])
    assert (kept[0.0] == 4).all()
    assert np.bincount(kept[1.0])[1:] == pytest.approx(np.full(4, 50), abs=25)
    assert (kept[0.5] == 4).mean() == pytest.approx(0.5 + 0.5 / 4, abs=0.12)
    pca = PrincipalComponents(source(200), 8, 4)
    codes = joined(Samples(pca, source(200), Protocol(style_mixing=1.0)).generated())
    np.testing.assert_array_equal(codes, pca.sample_w(200))


def test_noise_differs_between_parts_and_repeats(model):
    for variable in model.alae.G.trainable_variables:
        if "noise" in variable.path:
            variable.assign(variable + 1.0)
    samples = Samples(model, source(), Protocol(images=100, seed=3))
    w = np.zeros((1, 8), np.float32)
    first, second = samples.decode(w, 0, floats=True), samples.decode(w, 64, floats=True)
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(first, samples.decode(w, 0, floats=True))


def test_splits_and_fewer_images_than_asked(model):
    assert Samples(model, source(), Protocol(images=1000)).count == 100
    assert Samples(model, source(), Protocol(split="train")).count == 7
    with pytest.raises(EvaluationError, match="--split=test"):
        Samples(model, Images(noise(5)))


def test_real_features_are_cached_by_pixels_and_network(model):
    first, second, third = Means(), Means(), Means()
    features = Samples(model, source(), networks={"m": first}).features("real", "m")
    assert features.shape == (100, 4)
    again = Samples(model, source(), networks={"m": second}).features("real", "m")
    np.testing.assert_array_equal(features, again)
    assert (first.calls, second.calls) == (2, 0)
    other = Samples(model, source(seed=1), networks={"m": third}).features("real", "m")
    assert third.calls == 2 and (other != features).any()


def huge_header() -> bytes:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100, 50000000000), }\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def saved(write, *arrays) -> bytes:
    file = io.BytesIO()
    write(file, *arrays)
    return file.getvalue()


ZEROS = np.zeros((100, 4), np.float32)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"some text\n",
        saved(np.save, ZEROS),
        saved(np.save, ZEROS) + bytes(32),
        saved(np.save, ZEROS[0]),
        saved(np.save, np.float32(1)),
        saved(np.savez, ZEROS),
        huge_header(),
        "pipe",
        "directory",
        "cut short",
        "another bit",
        "another source",
    ],
    ids=lambda contents: contents[:20],
)
def test_only_whole_files_of_the_cache_are_used(model, tmp_path, contents):
    features = Samples(model, source(), networks={"m": Means()}).features("real", "m")
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    path.unlink()
    if contents == "pipe":
        os.mkfifo(path)
    elif contents == "directory":
        path.mkdir()
    elif contents == "another source":
        Samples(model, source(seed=1), networks={"m": Means()}).features("real", "m")
        (other,) = (tmp_path / "cache").iterdir()
        other.rename(path)
    else:
        changes = {"cut short": whole[:50], "another bit": whole[:-50] + b"\x01" + whole[-49:]}
        path.write_bytes(changes.get(contents, contents))
    net = Means()
    again = Samples(model, source(), networks={"m": net}).features("real", "m")
    np.testing.assert_array_equal(again, features)
    assert net.calls == 2
    if contents != "directory":
        assert path.read_bytes() == whole


def test_features_are_computed_once(model):
    net = Means()
    samples = Samples(model, source(), networks={"m": net})
    assert samples.features("generated", "m") is samples.features("generated", "m")
    assert net.calls == 2
