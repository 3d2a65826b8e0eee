"""--freeze: blocks that no update moves."""

import numpy as np
import pytest

from alae_tf.networks.names import named_variables
from tests.helpers.training import pixels, train


@pytest.mark.parametrize(
    ("freeze", "changes", "network"),
    [
        ("d:1", {}, "E"),
        pytest.param("d:1", {"discriminator": "separate"}, "D", marks=pytest.mark.slow),
        pytest.param("e:2", {}, "E", marks=pytest.mark.slow),
        pytest.param("e:1", {"discriminator": "separate"}, "E", marks=pytest.mark.slow),
        pytest.param("e:1", {"encoder_codes": "layers"}, "E", marks=pytest.mark.slow),
        pytest.param("d:1", {"accumulate": 2}, "E", marks=pytest.mark.slow),
    ],
)
def test_frozen_blocks_stay_and_all_else_moves(small, freeze, changes, network):
    config = small.replace(freeze=freeze, **changes)
    images = pixels(config, 1, 8)
    before = dict(named_variables(train(config, None, images, 1, steps=0)[0].alae, ""))
    trainer, losses = train(config, None, images, 1)
    frozen = [f"/{network}/{kind}.{i}/" for kind in ("blocks", "from_rgb") for i in range(2)]
    frozen = [part for part in frozen if int(part[-2]) < int(freeze[-1])]
    stayed = set()
    for name, variable in named_variables(trainer.alae, ""):
        if (variable.numpy() == before[name].numpy()).all():
            stayed.add(name)
    expected = {name for name in before if name.startswith(tuple(frozen))}
    assert expected and stayed >= expected
    # Corrections need update 4; E's level-0 input layer is faded out only at blend 1.
    others = {name for name in stayed - expected if "to_hidden" not in name}
    assert all("to_corrections" in name for name in others), others
    assert all(np.isfinite(value) for step in losses for value in step.values())
    slots = [t for optimizer in (trainer.optimizer_ed,) for v, _, t in optimizer.slots()]
    assert sum(t.numpy() == 0 for t in slots) >= len(expected)
