"""Which networks a config of a StyleALAE gets."""

import pytest

from alae_tf.networks import style
from alae_tf.networks.discriminator import Discriminator, ImageDiscriminator
from alae_tf.networks.encoder import DenseEncoder, Encoder, LayeredEncoder
from alae_tf.networks.readout import Readout


@pytest.mark.parametrize(
    ("changes", "encoder", "discriminator"),
    [
        ({}, Encoder, Discriminator),
        ({"encoder_head": "dense"}, DenseEncoder, Discriminator),
        ({"encoder_codes": "layers"}, LayeredEncoder, Discriminator),
        ({"discriminator": "separate"}, Encoder, ImageDiscriminator),
        ({"discriminator": "separate", "encoder_head": "readout"}, Readout, ImageDiscriminator),
    ],
)
def test_the_networks_of_a_config(small, changes, encoder, discriminator):
    found = style.build(small.replace(**changes), "float32")
    assert (type(found["E"]), type(found["D"])) == (encoder, discriminator)
    assert {name: network.name for name, network in found.items()} == {n: n for n in "GEFD"}
    assert [block.style_1.inputs for block in found["G"].blocks] == [8, 8]


def test_precision_is_that_of_images_and_weights_stay_as_asked(small):
    found = style.build(small.replace(precision="bfloat16"), "float32")
    assert found["G"].blocks[0].conv_2.compute_dtype == "bfloat16"
    assert found["E"].from_rgb[0].variable_dtype == found["F"].compute_dtype == "float32"
