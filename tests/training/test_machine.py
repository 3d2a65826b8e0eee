import json

import pytest

from alae_tf.features import weights
from alae_tf.networks.alae import build_alae
from alae_tf.networks.layers import EqualizedConv2D
from alae_tf.networks.names import sublayers
from alae_tf.training import machine


@pytest.fixture
def place(monkeypatch, tmp_path):
    """An empty cache, and the file in which the measurement is kept."""
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path))
    machine.winograd_pays.cache_clear()
    yield tmp_path / f"winograd-{machine._key()}.json"
    machine.winograd_pays.cache_clear()


def keep(place, plain, winograd):
    weights.keep(place, json.dumps({"plain_ms": plain, "winograd_ms": winograd}).encode())


@pytest.mark.parametrize("plain, winograd, pays", [(2.0, 1.0, True), (1.0, 2.0, False)])
def test_the_cache_decides(place, plain, winograd, pays):
    keep(place, plain, winograd)
    assert machine.winograd_pays() is pays


def test_it_is_measured_once(place, monkeypatch):
    found = machine.measure(rounds=1)
    assert min(found.values()) > 0
    monkeypatch.setattr(machine, "measure", lambda: found)
    place.write_bytes(b"damaged")
    assert machine.winograd_pays() == (found["winograd_ms"] < found["plain_ms"])
    assert json.loads(weights.kept(place)) == found


def test_another_set_of_instructions_is_another_measurement(monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    widest = machine._key()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert machine._key() != widest


@pytest.mark.parametrize("pays", [True, False])
def test_layers_that_compute_with_fewer_multiplications(small, place, pays):
    """Those of 64 channels that resample, and others of 128; of 64 if it was measured to pay."""
    keep(place, 1.0, 0.5 if pays else 2.0)
    alae = build_alae(small.replace(levels=4, start_channels=32, max_channels=128))
    machine.speed_up(alae)
    layers = [layer for layer in sublayers(alae) if isinstance(layer, EqualizedConv2D)]
    kinds = {
        (min(layer.inputs, layer.filters), layer.sampling is None): layer.winograd
        for layer in layers
        if layer.kernel_size == 3
    }
    expected = {32: (False, False), 64: (True, pays), 128: (True, True)}
    assert {channels for channels, _ in kinds} == set(expected)
    for (channels, plain), chosen in kinds.items():
        assert chosen is expected[channels][plain]
