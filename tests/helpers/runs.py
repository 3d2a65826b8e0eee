"""Run directories of models that were not trained."""

import numpy as np

from alae_tf.runs import checkpoint
from alae_tf.training.saver import training_variables
from alae_tf.training.trainer import Trainer


def save_run(config, path, level=None, blend=1.0):
    """A run directory with a checkpoint of new weights, biases and noise strengths not zero."""
    trainer = Trainer(config)
    random = np.random.default_rng(0)
    for variable in trainer.ema.variables:
        if len(variable.shape) == 1:
            variable.assign(random.normal(0, 0.2, variable.shape))
    path.mkdir()
    (path / "config.cfg").write_text(config.to_flagfile())
    level = config.levels - 1 if level is None else level
    state = {"images_seen": 8, "level": level, "blend": blend}
    checkpoint.save(training_variables(trainer), path, state, keep=1)
    return path
