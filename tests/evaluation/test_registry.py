import dataclasses
import json
import pkgutil

import numpy as np
import pytest

from alae_tf.evaluation import registry
from alae_tf.evaluation.samples import Protocol
from alae_tf.features import weights
from alae_tf.features.weights import EvaluationError
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from alae_tf.runs import results
from tests.helpers.fakes import Images, Means, noise


@pytest.fixture
def model(small):
    return Autoencoder(small, build_alae(small), images_seen=1234)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))


def labelled():
    labels = np.arange(40) % 2
    images = np.where(labels[:, None, None, None] == 1, 200, 20) + noise(40) % 20
    images = images.astype(np.uint8)
    return Images(images, labels, Images(images[:10], labels[:10]))


def test_results_record_everything_that_values_depend_on(model, tmp_path):
    told = []
    found = registry.evaluate(
        model,
        labelled(),
        ["psnr", "fd_lpips", "fd_lpips_reconstruction", "psnr"],
        Protocol(images=8, seed=5),
        {"lpips": Means()},
        {"run_dir": "runs/a"},
        tell=told.append,
    )
    assert found == told
    assert [result.metric for result in found] == ["psnr", "fd_lpips", "fd_lpips_reconstruction"]
    psnr, generated, reconstructed = found
    assert psnr.counts == {"real": 8, "reconstructed": 8} and psnr.better == "higher"
    assert generated.counts == {"real": 8, "generated": 8}
    assert reconstructed.counts == {"real": 8, "reconstructed": 8}
    assert generated.networks == {"lpips": {"sha256": "abc"}} and psnr.networks == {}
    assert generated.protocol["seed"] == 5 and generated.protocol["noise"] == "random"
    assert generated.model["images_seen"] == 1234 and generated.model["run_dir"] == "runs/a"
    assert generated.model["resolution"] == 8
    for result in found:
        results.append(tmp_path / "results.jsonl", result)
    assert results.read(tmp_path / "results.jsonl") == found


def test_a_metric_that_fails_does_not_stop_the_others(model, monkeypatch):
    def broken(samples):
        raise np.linalg.LinAlgError("no eigenvalues")

    monkeypatch.setattr("alae_tf.evaluation.pixels.psnr", broken)
    failed = []
    found = registry.evaluate(
        model, labelled(), ["psnr", "ssim"], failed=lambda *what: failed.append(what)
    )
    assert [result.metric for result in found] == ["ssim"]
    assert [(name, type(error)) for name, error in failed] == [("psnr", np.linalg.LinAlgError)]
    with pytest.raises(np.linalg.LinAlgError):
        registry.evaluate(model, labelled(), ["psnr", "ssim"])


def test_representation_has_all_features(model):
    found = registry.evaluate(model, labelled(), ["representation"])
    values = {result.metric.partition("/")[2]: result.value for result in found}
    kinds = [f"{a}_{b}" for b in ("short", "long", "pixels", "pca") for a in ("1nn", "svm")]
    assert list(values) == kinds
    assert values["1nn_pixels"] == values["svm_pixels"] == values["1nn_pca"] == 1.0
    assert found[0].counts == {"train": 40, "test": 10}


@pytest.mark.parametrize(
    ("names", "source", "flag"),
    [
        (["beauty"], labelled(), "--metrics=beauty"),
        ([], labelled(), "--metrics"),
        (["representation"], Images(noise(9), held_out=Images(noise(9))), "--data=images:"),
        (["precision"], Images(noise(9), held_out=Images(noise(3))), "--images: precision"),
    ],
)
def test_metrics_that_cannot_be_measured_are_refused(model, names, source, flag):
    with pytest.raises(EvaluationError, match=flag) as error:
        registry.evaluate(model, source, names)
    assert error.value.exit_code == 2


def test_a_group_stands_for_its_metrics():
    names = registry.check_names(["psnr", "reconstruction", "ssim"])
    assert names[0] == "psnr" and len(names) == len(set(names)) == 8
    assert set(names) == set(registry.GROUPS["reconstruction"]) <= set(registry.METRICS)
    assert "identity/within_0.6" in registry.value_names(names)
    with pytest.raises(EvaluationError, match="reconstruction"):
        registry.check_names(["rebuilding"])


def test_every_part_of_a_metric_has_a_direction():
    for metric in registry.METRICS.values():
        found = {metric.better_of(part) for part in metric.parts or ("",)}
        assert found <= {"lower", "higher", "neither"}
    identity = registry.METRICS["identity"]
    assert identity.better_of("distance") == "lower" and identity.better_of("found") == "higher"


def test_every_metric_has_its_function():
    for name, metric in registry.METRICS.items():
        assert callable(pkgutil.resolve_name(metric.function)), name


def result(metric="psnr", value=1.5, seen=10):
    return results.Result(
        metric, value, "higher", {}, "d:", {"real": 3}, {}, {"images_seen": seen}, 0.1, {}, "now"
    )


def test_table_has_a_column_for_each_checkpoint():
    rows = [result(), result("precision", 0.123456), result(seen=2000, value=2.25)]
    lines = results.table(rows).splitlines()
    assert lines[0].split() == "metric 10 images 2,000 images better measured on".split()
    assert lines[1].split() == ["psnr", "1.5", "2.25", "higher", "3", "real"]
    assert lines[2].split() == ["precision", "12.35", "%", "–", "higher", "3", "real"]


def test_table_has_a_column_for_the_baseline():
    baseline = dataclasses.replace(result(), model={"images_seen": None, "baseline": "PCA"})
    heads = results.table([result(), baseline]).splitlines()[0].split()
    assert heads[1:4] == ["10", "images", "PCA"]


def test_a_line_that_a_kill_cut_short_harms_no_other(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(dataclasses.asdict(result()))[:40])
    results.append(path, result(value=7.0))
    assert [each.value for each in results.read(path)] == [7.0]
    assert results.read(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_null(tmp_path, value):
    results.append(tmp_path / "results.jsonl", result(value=value))
    assert '"value": null' in (tmp_path / "results.jsonl").read_text()
    (read,) = results.read(tmp_path / "results.jsonl")
    assert np.isnan(read.value)
    assert results.table([read]).splitlines()[1].split()[1] == "nan"


def test_fixed_settings_of_a_metric_are_recorded(model):
    protocol = Protocol(split="train", images=8, noise="random", psi=0.5)
    found = registry.evaluate(model, labelled(), ["representation", "latent_cycle"], protocol)
    used = {each.metric.partition("/")[0]: each.protocol for each in found}
    assert (used["representation"]["split"], used["representation"]["images"]) == ("test", 0)
    assert (used["latent_cycle"]["psi"], used["latent_cycle"]["images"]) == (1.0, 8)


def test_everything_is_checked_before_a_network_is_loaded(model, monkeypatch):
    from alae_tf.evaluation import samples

    monkeypatch.setattr(samples, "load_network", lambda *_: pytest.fail("loaded"))
    source = Images(noise(9), np.arange(9) % 2, Images(noise(3), np.arange(3) % 2))
    with pytest.raises(EvaluationError, match="--images: precision"):
        registry.evaluate(model, source, ["same_digit", "precision"])


def test_what_is_lacking_is_said_and_nothing_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "places", lambda name: [tmp_path / name])
    monkeypatch.setattr(weights.npm, "fetch", lambda *args: pytest.fail("fetched"))
    images, protocol = Images(noise(2)), Protocol("train")
    assert "vgg16.ckpt is missing" in registry.lacking(["psnr", "fd_lpips"], images, protocol)
    assert "--identity=FILE" in registry.lacking(["identity"], images, protocol)
    assert "labels" in registry.lacking(["same_digit"], images, protocol)
    assert "at least 2 images" in registry.lacking(["fd_lpips"], Images(noise(1)), protocol)
    assert registry.lacking(["psnr", "latent_cycle"], images, protocol) is None
