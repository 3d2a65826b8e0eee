"""The network against the package itself, run in Node once (`goldens/identity.cjs`)."""

import json

import numpy as np
import pytest
from PIL import Image

from alae_tf.features import identity, weights
from alae_tf.features.identity import BLOCKS, Identity, read_arrays
from tests.helpers.drawn_faces import drawn_faces
from tests.paths import GOLDENS


@pytest.fixture(scope="module")
def published():
    if not weights.places(weights.IDENTITY)[0].is_file():
        pytest.skip("face_recognition_model.bin is not in the cache; evaluate --metrics=identity")
    return Identity()


def test_descriptors_are_those_of_the_package(published):
    golden = json.loads((GOLDENS / "identity.json").read_text())["descriptors"]
    np.testing.assert_allclose(published(drawn_faces()), golden, atol=1e-3)


@pytest.mark.parametrize("side", [64, 300])
def test_images_are_resized_as_by_pillow(published, side):
    images = drawn_faces(2, side)
    bicubic = Image.Resampling.BICUBIC
    resized = [np.asarray(Image.fromarray(image).resize((150, 150), bicubic)) for image in images]
    np.testing.assert_allclose(published(images), published(np.stack(resized)), atol=5e-3)


@pytest.fixture
def network(monkeypatch):
    """Makes a network of these arrays; every other one, and with it every descriptor, is 0."""
    monkeypatch.setattr(identity.weights, "find", lambda name, path: ("file", "0"))

    def make(**changed):
        monkeypatch.setattr(identity, "read_arrays", lambda file: arrays(**changed))
        return Identity()

    return make


def arrays(**changed):
    found, channels = {"conv32_down/conv/filters": np.zeros([7, 7, 3, 32])}, 32
    for block in BLOCKS:
        out = int(block.removeprefix("conv").partition("_")[0])
        found[f"{block}/conv1/conv/filters"] = np.zeros([3, 3, channels, out])
        found[f"{block}/conv2/conv/filters"] = np.zeros([3, 3, out, out])
        channels = out
    for name in [name.removesuffix("conv/filters") for name in found]:
        zeros = np.zeros(found[f"{name}conv/filters"].shape[-1])
        ends = ("conv/bias", "scale/weights", "scale/biases")
        found |= {f"{name}{end}": zeros for end in ends}
    found = {name: array.astype(np.float32) for name, array in found.items()}
    return found | {name.replace("__", "/"): np.float32(value) for name, value in changed.items()}


def test_what_halving_blocks_pass_on_by_hand(network):
    """32 channels of 1 pass through all blocks. The last adds 1 to one of four pixels."""
    find = network(
        conv32_down__scale__biases=np.ones(32),
        conv256_down_out__conv2__scale__biases=np.ones(256),
        fc=np.full((256, 128), 1 / 32),
    )
    images = np.zeros((2, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(find(images), np.full((2, 128), (32 + 256 / 4) / 32), rtol=1e-6)
    assert find(images[:0]).shape == (0, 128)


def test_pixels_reach_the_first_layer_less_their_mean(network):
    """The first channel is the mean red of a window; a uniform image gives it everywhere."""
    kernel = np.zeros((7, 7, 3, 32))
    kernel[:, :, 0, 0] = 1 / 49
    find = network(
        conv32_down__conv__filters=kernel,
        conv32_down__scale__weights=np.full(32, 2.0),
        fc=np.eye(256, 128),
    )
    grey = np.full((1, 20, 20, 1), 200, np.uint8)
    expected = 2 * (200 - 122.782) / 255
    assert find(grey)[0, 0] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(find(grey), find(grey.repeat(3, axis=-1)))
    assert find.distance(grey, grey).tolist() == [0.0]


def test_the_published_network_has_29_convolutions():
    assert 1 + 2 * len(BLOCKS) == 29


def test_numbers_of_a_file_by_hand(tmp_path):
    quantization = {"dtype": "uint8", "scale": 0.5, "min": -1.0}
    entries = [
        {"name": "a", "shape": [2, 1], "dtype": "float32"},
        {"name": "b/c", "shape": [3], "dtype": "float32", "quantization": quantization},
    ]
    manifest = [{"paths": [weights.IDENTITY], "weights": entries}]
    (tmp_path / weights.IDENTITY_MANIFEST).write_text(json.dumps(manifest))
    (tmp_path / "any.bin").write_bytes(np.array([1.5, -2.0], "<f4").tobytes() + bytes([0, 2, 255]))
    found = read_arrays(tmp_path / "any.bin")
    assert list(found) == ["a", "b/c"]
    assert all(array.dtype == np.float32 for array in found.values())
    np.testing.assert_array_equal(found["a"], [[1.5], [-2.0]])
    np.testing.assert_array_equal(found["b/c"], [-1.0, 0.0, 126.5])
