"""The network of FID against torch-fidelity 0.4's, with random weights in the published shapes."""

import json

import numpy as np

from alae_tf.features import inception
from alae_tf.features.pytorch_file import Contents
from tests.paths import GOLDENS


def random_weights(shapes):
    """As they were made for torch-fidelity."""
    rng, arrays = np.random.default_rng(0), {}
    for name, shape in shapes:
        x = rng.standard_normal(shape).astype(np.float32)
        if name.endswith("conv.weight") or name == "fc.weight":
            x = x * np.float32((2 / np.prod(shape[1:])) ** 0.5)
        elif name.endswith("running_var"):
            x = 1 + 0.1 * np.abs(x)
        else:
            x = 0.1 * x + (1 if name.endswith("bn.weight") else 0)
        arrays[name] = x
    return arrays


def test_features_are_those_of_torch_fidelity(monkeypatch):
    """Its resizing and scaling included: the images are 40 px."""
    with np.load(GOLDENS / "inception.npz") as file:
        images, expected = file["images"], file["features"]
        arrays = random_weights(json.loads(bytes(file["shapes"])))
    monkeypatch.setattr(inception.weights, "find", lambda name, path: ("file", "0"))
    monkeypatch.setattr(inception, "read_pytorch", lambda file: Contents(arrays, ()))
    network = inception.Inception()
    features = network(images)
    assert features.shape == (2, 2048)
    np.testing.assert_allclose(features, expected, atol=1e-4 * np.abs(expected).max())
    grey = images[..., :1]
    np.testing.assert_array_equal(network(grey), network(grey.repeat(3, axis=-1)))
