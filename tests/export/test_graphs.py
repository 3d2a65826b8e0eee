"""The inference graphs, where converters and runtimes are touchy."""

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("litert_quantizer", reason="extra `export`")

from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from export import saved_model, tflite
from export.graphs import Graphs
from export.litert import TFLite


def test_a_decoder_after_few_iterations_is_exact(small, tmp_path):
    """The first maps still deviate little from 1 then: by 1e-4, as here."""
    model = Autoencoder(small, build_alae(small))
    random = np.random.default_rng(0)
    for variable in (model.alae.G.constant, *model.alae.G.blocks[0].weights):
        if variable.name in ("constant", "noise_1", "bias_1"):
            variable.assign(variable + random.normal(0, 1e-4, variable.shape))
    graphs = Graphs(model)
    endpoint = graphs.device_signatures()["decoder"]
    saved_model.write(model.alae, {"decoder": endpoint}, tmp_path / "saved")
    decode = TFLite(tflite.convert(tmp_path / "saved", "decoder"))
    w = random.standard_normal((4, small.latent_size), np.float32)
    expected = graphs.decode(tf.constant(w))["images"].numpy()
    assert np.abs(decode(w) - expected).max() < 1e-5 * np.abs(expected).max()
    assert decode.delegated() == 1.0
