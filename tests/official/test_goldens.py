import json
import shutil

import numpy as np
import pytest

from alae_tf.networks.alae import build_alae
from alae_tf.official import goldens
from alae_tf.official.__main__ import main
from alae_tf.official.weights import OfficialError, load_weights, read_weights
from alae_tf.training import losses
from tests.paths import GOLDENS


@pytest.mark.parametrize(
    ("name", "quantities"),
    [
        ("style32_forward", 23),
        ("style128_forward", 35),
        ("style32_two_steps", 2 * (3 + 108) + 3),
        ("style32_two_steps_fade", 2 * (3 + 108) + 3),
    ],
)
def test_goldens_hold(name, quantities):
    errors = dict(goldens.verify(GOLDENS / f"{name}.npz"))
    assert len(errors) == quantities
    assert max(errors.values()) < 1e-4


def beta_2(monkeypatch):
    authors = goldens.read_config
    monkeypatch.setattr(
        goldens, "read_config", lambda meta, **kw: authors(meta, adam_beta_2=0.991, **kw)
    )


def latent_loss(monkeypatch):
    authors = losses.latent_loss
    monkeypatch.setattr(losses, "latent_loss", lambda *args: 1.001 * authors(*args))


def r1(monkeypatch):
    authors = losses.logits_and_r1

    def wrong(logits, real, gamma, scale):
        return authors(logits, real, 1.01 * gamma, scale)

    monkeypatch.setattr(losses, "logits_and_r1", wrong)


@pytest.mark.parametrize("fault", [beta_2, latent_loss, r1])
def test_a_step_that_is_slightly_wrong_is_beyond_the_tolerance(fault, monkeypatch):
    fault(monkeypatch)
    path = GOLDENS / "style32_two_steps_fade.npz"
    assert any(error > 1e-4 for _, error in goldens.verify(path))


def changed(tmp_path, change):
    with np.load(GOLDENS / "style32_forward.npz") as file:
        entries = {name: file[name] for name in file.files}
    change(entries)
    path = tmp_path / "changed.npz"
    np.savez(path, **entries)
    return str(path)


def test_a_wrong_weight_is_beyond_the_tolerance(tmp_path, capsys):
    def change(entries):
        entries["weights/F/map_blocks.1.fc.weight"] *= 1.01

    assert main(["verify", changed(tmp_path, change)]) == 1
    assert "w  <-- beyond the tolerance" in capsys.readouterr().out


def test_a_loose_tolerance_lets_it_pass(tmp_path):
    def change(entries):
        entries["out/w"] = entries["out/w"] * 1.001
        for name in [n for n in entries if n.startswith("out/") and n != "out/w"]:
            del entries[name]

    path = changed(tmp_path, change)
    assert main(["verify", path]) == 1
    assert main(["verify", path, "--tolerance=0.01"]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.pop("weights/G/const"), "missing: G/const"),
        (lambda e: e.update({"weights/G/more": np.zeros(2)}), "unknown: G/more"),
        (
            lambda e: e.update({"weights/F/map_blocks.0.fc.bias": np.zeros(9)}),
            r"shape: F/map_blocks.0.fc.bias is \[9\]",
        ),
        (lambda e: e.pop("in/z"), "no entry 'in/z'"),
        (
            lambda e: [e.pop(name) for name in list(e) if name.startswith("out/")],
            "out/",
        ),
        (
            lambda e: e.update({"in/styles": np.zeros((2, 3, 16), np.float32)}),
            r"styles: got shape \[2, 3, 16\]",
        ),
        (
            lambda e: e.update({"in/x_level0": np.zeros((2, 8, 8, 3), np.float32)}),
            r"x: got shape \[2, 8, 8, 3\]",
        ),
        (
            lambda e: e.update({"meta/config": np.frombuffer(b"[1]", np.uint8)}),
            "entries",
        ),
        (
            lambda e: e.update({"meta/config": np.frombuffer(b"[" * 100_000, np.uint8)}),
            "entries",
        ),
        (lambda e: e.update({"out/else": np.zeros(2)}), "out/else"),
        (
            lambda e: e.update({"weights/E/encode_block.0.blur.weight": np.ones((4, 1, 3, 3))}),
            "E/encode_block.0.blur.weight",
        ),
    ],
)
def test_what_does_not_match_is_named(tmp_path, capsys, change, message):
    path = changed(tmp_path, change)
    with pytest.raises(OfficialError, match=message):
        list(goldens.verify(path))
    assert main(["verify", path]) == 2
    assert path in capsys.readouterr().err


@pytest.mark.slow
def test_a_training_file_must_have_every_tensor_after_every_iteration(tmp_path):
    with np.load(GOLDENS / "style32_two_steps.npz") as file:
        entries = {name: file[name] for name in file.files}
    del entries["after_1/D/map_blocks.0.bias"]
    entries["after_1/D/more"] = np.zeros(2)
    np.savez(tmp_path / "other.npz", **entries)
    with pytest.raises(OfficialError, match="after_1/ .* differ: D/map_blocks.0.bias, D/more"):
        list(goldens.verify(tmp_path / "other.npz"))


def test_files_of_another_kind_are_refused(tmp_path, capsys):
    with pytest.raises(OfficialError, match="none.npz: No such file"):
        list(goldens.verify(tmp_path / "none.npz"))
    with pytest.raises(OfficialError, match="Is a directory"):
        list(goldens.verify(tmp_path))
    text = tmp_path / "text.npz"
    text.write_text("not a zip")
    with pytest.raises(OfficialError, match="not a whole NumPy .npz"):
        list(goldens.verify(text))
    assert main(["verify", str(text)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "pickle" not in said.err and said.err.count("\n") == 1
    with open(text, "wb") as file:
        np.save(file, np.zeros(3))  # one array, no archive
    with pytest.raises(OfficialError, match="not a whole NumPy .npz"):
        list(goldens.verify(text))
    torn = tmp_path / "torn.npz"
    shutil.copy(GOLDENS / "style32_forward.npz", torn)
    torn.write_bytes(torn.read_bytes()[:-5000])
    with pytest.raises(OfficialError, match="not a whole NumPy .npz"):
        list(goldens.verify(torn))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(OfficialError, match="no entry 'meta/config'"):
        list(goldens.verify(tmp_path / "other.npz"))


def test_what_a_file_calls_its_quantities_cannot_drive_the_terminal(tmp_path, capsys):
    def change(entries):
        entries["out/\x1b[31mred"] = np.zeros(2)

    assert main(["verify", changed(tmp_path, change)]) == 2
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err and r"out/\x1b[31mred: " in said.err


def test_weights_go_there_and_back():
    with np.load(GOLDENS / "style128_forward.npz") as file:
        meta = json.loads(bytes(file["meta/config"]))
        weights = {n.removeprefix("weights/"): file[n] for n in file.files if "weights/" in n}
    alae = build_alae(goldens.read_config(meta))
    load_weights(alae, weights)
    back = read_weights(alae, weights)
    assert back.keys() == weights.keys()
    for name, theirs in weights.items():
        np.testing.assert_array_equal(back[name], theirs, err_msg=name)
