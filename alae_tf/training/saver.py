"""What a run must remember, by name."""

from __future__ import annotations

import keras

from alae_tf.networks.names import named_variables
from alae_tf.training.step import Trainer


def training_variables(trainer: Trainer) -> dict[str, keras.Variable]:
    """All that a run must remember: the networks, their EMA, both optimizers' state."""
    named = dict(named_variables(trainer.alae, "alae"))
    names = {id(variable): name for name, variable in named.items()}
    named.update(named_variables(trainer.ema, "ema"))
    for optimizer in (trainer.optimizer_ed, trainer.optimizer_fg):
        for variable, v, t in optimizer.slots():
            name = names[id(variable)].removeprefix("alae/")
            named[f"optimizer/v/{name}"], named[f"optimizer/t/{name}"] = v, t
    if trainer.loss_scale is not None:
        named["loss_scale/value"] = trainer.loss_scale.value
        named["loss_scale/good"] = trainer.loss_scale.good
    return named
