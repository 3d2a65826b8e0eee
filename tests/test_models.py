"""The shipped models: each loads, is small, has a card, and reaches the card's numbers."""

import numpy as np
import pytest

import alae_tf
from alae_tf.config import Config
from alae_tf.data import open_source
from alae_tf.latents import directions
from alae_tf.runs import results
from tests.paths import ROOT

MODELS = sorted(path.parent for path in (ROOT / "models").glob("*/config.cfg"))
LARGEST = 18 * 2**20  # bytes


def test_digits_ship():
    assert "digits" in [path.name for path in MODELS]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_a_model_is_complete(path):
    model = alae_tf.from_pretrained(path.name)
    config = Config.load(path / "config.cfg")
    assert model.images_seen > 0 and model.blend == 1.0 and model.level == config.levels - 1
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < LARGEST
    card = (path / "README.md").read_text()
    for word in ("Data", "Licence", "Results", "Limits", f"{model.images_seen:,} images"):
        assert word in card
    measured = [r for r in results.read(path / "results.jsonl") if not r.model.get("baseline")]
    assert {each.model["images_seen"] for each in measured} == {model.images_seen}
    assert "/" not in config.data and not config.init_from  # no path of one machine
    images = model.generate(2, seed=1)
    assert np.ptp(images) > 150
    assert model.reconstruct(images).shape == images.shape


@pytest.mark.slow
def test_digits_keep_their_class():
    """The fraction that the card states, on 500 held-out digits."""
    from alae_tf.evaluation.registry import evaluate, open_networks
    from alae_tf.evaluation.samples import Protocol

    model, source = alae_tf.from_pretrained("digits"), open_source("mnist5k:")
    protocol = Protocol()
    networks = open_networks(["same_digit"], source, protocol, model.resolution)
    (result,) = evaluate(model, source, ["same_digit"], protocol, networks)
    assert result.value > 0.93


@pytest.mark.parametrize(("name", "has"), [("digits", "7"), ("faces64", "smile")])
def test_directions_ship_with_the_models(name, has):
    model = alae_tf.from_pretrained(name)
    file = ROOT / "models" / name / "directions.json"
    found = directions.read(file, model.config.latent_size, model.fingerprint)
    (direction,) = directions.choose(found, [has])
    w = model.sample_w(2, seed=1)
    before, after = model.decode(w).astype(int), model.edit(w, direction, 3.0)
    assert np.abs(after - before).mean() > 1
