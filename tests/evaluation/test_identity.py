"""With a stand-in for the network whose descriptors are images' mean colours."""

import numpy as np
import pytest

from alae_tf import data
from alae_tf.evaluation import identity, registry
from alae_tf.evaluation.identity import people, real_pairs
from alae_tf.evaluation.samples import Protocol
from alae_tf.images.picture import png
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from tests.helpers.fakes import Images, Means, noise


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(small):
    return Autoencoder(small, build_alae(small))


class Scaled(Means):
    """Means in [0, 1], which a threshold of 0.6 suits."""

    def __call__(self, images):
        return super().__call__(images) / 255


def measure(model, source, **protocol):
    results = registry.evaluate(
        model, source, ["identity"], Protocol("train", **protocol), {"identity": Scaled()}
    )
    return {each.metric.partition("/")[2]: each for each in results}


def test_values_against_the_images_themselves(model):
    images = noise(30)
    found = measure(model, Images(images), noise="const")
    real, made = (Scaled()(each) for each in (images, model.reconstruct(images)))
    distances = np.linalg.norm(made[:, np.newaxis] - real, axis=-1)
    own = np.diagonal(distances)
    assert found["distance"].value == pytest.approx(own.mean(), rel=1e-5)
    assert found["within_0.6"].value == (own <= 0.6).mean()
    assert found["found"].value == (distances.argmin(axis=1) == np.arange(30)).mean()
    assert list(found) == ["distance", "within_0.6", "found"]
    assert [each.better for each in found.values()] == ["lower", "higher", "higher"]
    assert found["found"].counts == {"real": 30, "reconstructed": 30, "candidates": 30}
    assert found["found"].networks == {"identity": {"sha256": "abc"}}


def test_candidates_are_those_of_the_whole_split(model, monkeypatch):
    monkeypatch.setattr(identity, "CANDIDATES", 20)
    found = measure(model, Images(noise(40)), images=8)
    assert found["found"].counts == {"real": 8, "reconstructed": 8, "candidates": 20}


def test_pairs_of_photographs_by_labels(model):
    images, labels = noise(6), np.array([0, 0, 1, 1, 1, 2])
    found = measure(model, Images(images, labels))
    features = Scaled()(images)
    apart = {True: [], False: []}
    for i in range(6):
        for j in range(i):
            apart[bool(labels[i] == labels[j])].append(np.linalg.norm(features[i] - features[j]))
    assert found["same_person"].value == pytest.approx(np.mean(apart[True]), rel=1e-4)
    assert found["two_people"].value == pytest.approx(np.mean(apart[False]), rel=1e-4)
    assert found["same_person"].better == "neither"
    for name, same in (("same_person", True), ("two_people", False)):
        share = (np.array(apart[same]) <= 0.6).mean()
        assert found[f"{name}_within_0.6"].value == pytest.approx(share)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Ann_Bee_0001.png", "Ann_Bee_0002.png", "Cy_0001.png"], ["Ann_Bee", "Ann_Bee", "Cy"]),
        (["x/Ann_0001.png", "y/Ann_0002.png", "y/B_1.png"], ["Ann", "Ann", "B"]),
        (["Ann_0001.png", "portrait.png"], None),
        (["00001.png", "00002.png"], None),
    ],
)
def test_people_by_file_names(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(noise(1)[0]))
    found = people(data.open_source(f"folder:{tmp_path}?channels=1"))
    assert (found if found is None else found.tolist()) == expected


def test_without_two_kinds_of_pairs_there_are_no_values():
    features, indices = np.eye(3), np.arange(3)
    for names in (None, np.array(["a", "b", "c"]), np.array(["a", "a", "a"])):
        assert real_pairs(names, indices, features) == {}
    pairs = real_pairs(np.array([7, 1, 9, 9, 1]), np.array([1, 3, 4]), features)
    assert pairs["same_person"] == pairs["two_people"] == pytest.approx(2**0.5)
    assert pairs["same_person_within_0.6"] == pairs["two_people_within_0.6"] == 0
    pairs = real_pairs(np.array(["a", "a", "b"]), indices, np.array([[0.0], [0.5], [1.0]]))
    assert pairs["same_person_within_0.6"] == 1 and pairs["two_people_within_0.6"] == 0.5
