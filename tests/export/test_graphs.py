"""The inference graphs, where converters and runtimes are touchy."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

pytest.importorskip("litert_quantizer", reason="extra `export`")

from alae_tf.images.fit import fit
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from export import encode, saved_model, tflite
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


def test_a_grey_model_takes_files_whose_pixels_are_grey(small, tmp_path):
    """On a server as on a device, whether or not they are stored as RGB."""
    graphs = Graphs(Autoencoder(small, build_alae(small)))
    served = tf.function(graphs.read, input_signature=[tf.TensorSpec([], tf.string)])
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 256, (24, 16), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels).convert("RGB").save(path, exif=turned)
    read = encode.read(path)
    np.testing.assert_array_equal(read, np.rot90(pixels, -1)[..., np.newaxis])
    np.testing.assert_array_equal(served(path.read_bytes()), fit(read, graphs.resolution))
    Image.new("RGB", (16, 16), (9, 9, 10)).save(path)
    assert encode.read(path).shape == (16, 16, 3)  # which `encode` refuses for a grey model
    with pytest.raises(tf.errors.InvalidArgumentError, match="image_bytes"):
        served(path.read_bytes())


def test_files_are_decoded_one_at_a_time(small):
    """Each may have 89 million pixels."""
    graphs = Graphs(Autoencoder(small, build_alae(small)))
    served = tf.function(graphs.read_all, input_signature=[tf.TensorSpec([None], tf.string)])
    graph = served.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    loops = [node for node in nodes if node.op in ("While", "StatelessWhile")]
    assert loops and {node.attr["parallel_iterations"].i for node in loops} == {1}
