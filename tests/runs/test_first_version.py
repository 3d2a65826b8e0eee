"""Runs of the first version, which had other names for some things, still load."""

import numpy as np

import alae_tf
from alae_tf.networks.alae import build_alae
from alae_tf.networks.names import named_variables
from alae_tf.runs import checkpoint


def test_a_run_of_the_first_version_loads(small, tmp_path):
    alae = build_alae(small)
    variables = dict(named_variables(alae, "slow"))  # its name for the EMA
    state = {"images_seen": 8, "level": 1, "blend": 1.0}
    checkpoint.save(variables, tmp_path, state, keep=1)
    text = small.replace(ema_images=5000.0).to_flagfile()
    (tmp_path / "config.cfg").write_text(text.replace("--ema_images", "--slow_copy_images"))
    model = alae_tf.load_model(tmp_path)
    assert model.config.ema_images == 5000.0
    loaded = dict(named_variables(model.alae, "slow"))
    assert loaded.keys() == variables.keys()
    for name, variable in variables.items():
        np.testing.assert_array_equal(loaded[name], variable, err_msg=name)
