import re

import numpy as np
import pytest

import alae_tf
from alae_tf.model import keras_file
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.model.card import Card
from alae_tf.model.pretrained import save_pretrained
from alae_tf.networks.alae import build_alae
from alae_tf.runs.results import Result, append
from alae_tf.system import shipped
from alae_tf.system.errors import AlaeError, CheckpointError


@pytest.fixture
def model(small):
    return Autoencoder(small, build_alae(small), level=1, blend=0.75, images_seen=96)


def test_a_saved_model_is_the_same(model, tmp_path):
    path = tmp_path / "models" / "mine"
    save_pretrained(model, path, "# Mine\n")
    again = alae_tf.from_pretrained(path)
    assert (again.level, again.blend, again.images_seen) == (1, 0.75, 96)
    np.testing.assert_array_equal(again.generate(2), model.generate(2))
    assert (path / "README.md").read_text() == "# Mine\n"
    with pytest.raises(AlaeError, match=str(path)):
        save_pretrained(model, path, "")


def test_a_card_holds_config_results_and_the_authors_words(model, tmp_path):
    results = tmp_path / "results.jsonl"
    for metric, value, seen, baseline in (
        ("psnr", 17.25, 96, None),
        ("psnr", 1.0, 32, None),  # of an earlier checkpoint
        ("psnr", 20.5, None, "PCA"),
        ("recall", 0.125, 96, None),
    ):
        about = {"images_seen": seen} | ({"baseline": baseline} if baseline else {})
        fields = {"protocol": {}, "networks": {}, "versions": {}, "seconds": 1.0, "date": ""}
        line = Result(
            metric=metric,
            value=value,
            better="higher",
            data="mnist5k:",
            counts={"reconstructed": 1500},
            model=about,
            **fields,
        )
        append(results, line)
    written = Card(data="Digits of *mine*.", licence="apache-2.0")
    save_pretrained(model, tmp_path / "mine", written, results=results)
    text = (tmp_path / "mine" / "README.md").read_text()
    assert text.startswith("# mine\n\nStyleALAE ")
    for part in ("8 px", "grey", f"{model.alae.count_params():,} weights", ": 96."):
        assert part in text
    assert "## Data\nDigits of *mine*.\n\n## Licence\napache-2.0\n" in text
    assert "| `psnr` | 17.25 | 20.5 | higher | 1,500 reconstructed |" in text
    assert "| `recall` | 12.50 % | – | higher |" in text
    assert "## Use\nNot stated by the author." in text
    assert (tmp_path / "mine" / "results.jsonl").read_bytes() == results.read_bytes()


def test_names_in_a_card_are_shown_as_they_are(model):
    wild = "a|b\n# `c` <img>\x1b"
    about = {"images_seen": 96}
    measured = Result(wild, 1.0, wild, {}, "mnist5k:", {wild: 3}, {}, about, 1.0, {}, "")
    text = Card().text(wild, model, [measured])
    assert "\x1b" not in text
    lines = text.splitlines()
    assert sum(line.startswith("# ") for line in lines) == 1
    (row,) = [line for line in lines if line.startswith("| a")]
    assert len(re.split(r"(?<!\\)\|", row)) == 6  # four cells, and what is around them
    shown = [line for line in lines if not line.startswith("    ")]  # but code
    assert not any(re.search(r"(?<!\\)<img", line) for line in shown)


def test_a_card_without_results_says_so_and_wrong_ones_are_refused(model, tmp_path):
    with pytest.raises(AlaeError, match="none.jsonl"):
        save_pretrained(model, tmp_path / "a", results=tmp_path / "none.jsonl")
    assert not (tmp_path / "a").exists()
    save_pretrained(model, tmp_path / "a")
    assert "alae_tf.evaluate" in (tmp_path / "a" / "README.md").read_text()


def test_half_the_size(model, tmp_path):
    save_pretrained(model, tmp_path / "a", "")
    save_pretrained(model, tmp_path / "b", "", half=True)

    def size(name):
        return sum(path.stat().st_size for path in (tmp_path / name).rglob("*.npz"))

    assert size("b") < 0.85 * size("a")  # small arrays, much of it names
    w = model.sample_w(4)
    halved = alae_tf.from_pretrained(tmp_path / "b")
    np.testing.assert_allclose(halved.sample_w(4), w, atol=2e-3 * np.abs(w).max())


def test_shipped_models_go_by_name(model, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "HERE", tmp_path / "alae_tf")
    save_pretrained(model, tmp_path / "models" / "mine", "")
    for name in ("mine", "models/mine"):
        assert alae_tf.from_pretrained(name).images_seen == 96
    with pytest.raises(CheckpointError, match="other.* mine"):
        alae_tf.from_pretrained("other")


def test_weights_of_training_are_not_in_it(model, tmp_path):
    save_pretrained(model, tmp_path / "a", "")
    with pytest.raises(CheckpointError, match="raw"):
        alae_tf.load_model(tmp_path / "a", weights="raw")


def test_a_run_of_half_precision_computes_in_float32(small, model, tmp_path):
    half = small.replace(precision="bfloat16")
    other = Autoencoder(half, build_alae(half), level=1, blend=0.75)
    for ours, theirs in zip(other.alae.variables, model.alae.variables, strict=True):
        ours.assign(theirs)
    w = model.sample_w(3)
    assert np.abs(other.decode(w, floats=True) - model.decode(w, floats=True)).max() > 1e-3
    save_pretrained(other, tmp_path / "half")
    keras_file.save(other, tmp_path / "half.keras")
    for path in (tmp_path / "half", tmp_path / "half.keras"):
        again = alae_tf.from_pretrained(path)
        assert again.config.precision == "bfloat16"  # what it would be trained on in
        np.testing.assert_allclose(
            again.decode(w, floats=True), model.decode(w, floats=True), atol=1e-5
        )
