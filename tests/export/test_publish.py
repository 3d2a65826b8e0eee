import json
import re

import pytest

from alae_tf.system import files
from alae_tf.system.errors import AlaeError
from export import ExportError, publish


def write_files(folder, **texts):
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_tflite", ".tflite")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def write_manifest(folder, names):
    manifest = {"files": publish.describe_files(folder, names), "config": {}, "level": 0}
    publish.write_json(folder / publish.MANIFEST, manifest)


def test_a_failed_export_leaves_no_directories(tmp_path):
    out = tmp_path / "a" / "b"
    with pytest.raises(ValueError, match="no"), publish.hidden_folder(out) as folder:
        write_files(folder, half="written")
        raise ValueError("no")
    assert not list(tmp_path.iterdir())
    out.mkdir(parents=True)
    with publish.hidden_folder(out):
        with pytest.raises(ExportError, match="--out="):
            with publish.hidden_folder(out):
                pass
    assert not list(out.iterdir())  # it was there before, so it stays


def test_files_replace_those_of_the_export_before_and_versions_stay(tmp_path):
    out = tmp_path / "out"
    for round_ in ("first", "second"):
        with publish.hidden_folder(out) as folder:
            version = publish.next_version(out)
            write_files(folder, encoder_tflite=round_, **{f"saved_model__{version}__x": round_})
            names = ["encoder.tflite", "saved_model"]
            if round_ == "first":
                write_files(folder, decoder_tflite=round_)
                names.append("decoder.tflite")
            write_manifest(folder, names)
            publish.publish(folder, names, out)
    assert (out / "encoder.tflite").read_text() == "second"
    assert not (out / "decoder.tflite").exists()  # of another model now
    assert [(out / f"saved_model/{v}/x").read_text() for v in (1, 2)] == ["first", "second"]
    described = json.loads((out / publish.MANIFEST).read_text())["files"]
    assert set(described) == {"encoder.tflite", "saved_model/2/x"}
    assert described["encoder.tflite"]["size"] == 6
    assert described["encoder.tflite"]["sha256"].startswith("16367aacb67a4a01")  # of "second"


def test_a_file_where_a_directory_is_to_be(tmp_path):
    out = tmp_path / "out"
    write_files(out, saved_model="a file")
    with publish.hidden_folder(out) as folder:
        write_files(folder, saved_model__1__x="")
        with pytest.raises(AlaeError, match="saved_model"):
            write_manifest(folder, ["saved_model"])
            publish.publish(folder, ["saved_model"], out)
    assert (out / "saved_model").read_text() == "a file"


@pytest.mark.parametrize("name", ["encoder.tflite", "web/index.html"])
def test_a_file_that_no_manifest_lists_is_not_replaced(tmp_path, name):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("the user's")
    with publish.hidden_folder(out) as folder:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("new")
        write_manifest(folder, [name.partition("/")[0]])
        with pytest.raises(AlaeError, match=name):
            publish.publish(folder, [name.partition("/")[0]], out)
    assert (out / name).read_text() == "the user's"


@pytest.mark.parametrize("name", ["../other/encoder.tflite", "{}/encoder.tflite"])
def test_a_manifest_that_names_files_outside_deletes_none(tmp_path, name):
    out, other = tmp_path / "out", tmp_path / "other"
    write_files(other, encoder_tflite="the user's")
    out.mkdir()
    manifest = {"files": {name.format(other): {}}, "config": {}, "level": 0}
    publish.write_json(out / publish.MANIFEST, manifest)
    with publish.hidden_folder(out) as folder:
        write_files(folder, decoder_tflite="new")
        write_manifest(folder, ["decoder.tflite"])
        publish.publish(folder, ["decoder.tflite"], out)
    assert (other / "encoder.tflite").read_text() == "the user's"


def publish_again(out, **texts):
    """Publishes files with these texts, of other weights."""
    names = [name.replace("_tflite", ".tflite") for name in texts]
    with publish.hidden_folder(out) as folder:
        publish.check_replaceable(out, names)
        write_files(folder, **texts)
        write_manifest(folder, names)
        publish.publish(folder, names, out)


@pytest.mark.parametrize("entry", [{}, {"sha256": 64 * "0"}, {"before": 64 * "0"}])
@pytest.mark.parametrize("make", ["write", "link"])
def test_a_manifest_that_names_a_file_of_the_user(tmp_path, capsys, entry, make):
    out, mine = tmp_path / "out", tmp_path / "mine"
    mine.write_text("the user's")
    write_files(out, thesis_tflite="the user's")
    if make == "link":
        (out / "thesis.tflite").unlink()
        (out / "thesis.tflite").symlink_to(mine)
        entry = {"sha256": files.sha256(mine)}
    manifest = {"files": {"thesis.tflite": entry}, "config": {}, "level": 0}
    publish.write_json(out / publish.MANIFEST, manifest)
    publish_again(out, encoder_tflite="new")  # which deletes files of other weights
    assert (out / "thesis.tflite").read_text() == "the user's"
    assert "thesis.tflite" in capsys.readouterr().err
    publish.write_json(out / publish.MANIFEST, manifest)
    with pytest.raises(ExportError, match=f"--out={out}: thesis.tflite"):
        publish_again(out, thesis_tflite="new")
    assert (out / "thesis.tflite").read_text() == "the user's"


def test_after_a_kill_between_two_renames_an_export_succeeds(tmp_path, monkeypatch):
    out = tmp_path / "out"
    texts = {"a_tflite": "1", "b_tflite": "1", "c_tflite": "1"}
    publish_again(out, **texts)

    def killed(moves):
        for before, after in moves[: len(moves) - 1]:  # all but the last new file
            before.rename(after) if after.parent.exists() else None
        raise KeyboardInterrupt

    for new in ("2", "3"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(publish, "move", killed)
            publish_again(out, **dict.fromkeys(texts, new))
    publish_again(out, **dict.fromkeys(texts, "4"))
    assert {path.read_text() for path in out.glob("*.tflite")} == {"4"}
    assert len(list(out.glob("*.tflite"))) == 3


def test_a_directory_with_the_name_of_a_file(tmp_path):
    (tmp_path / "encoder.tflite").mkdir()
    with pytest.raises(ExportError, match=f"--out={tmp_path}: encoder.tflite"):
        publish.check_replaceable(tmp_path, ["web", "encoder.tflite"])
    (tmp_path / "web").mkdir()
    publish.check_replaceable(tmp_path, ["web", "saved_model"])


def test_a_lock_of_another_program_stays(tmp_path):
    (tmp_path / ".lock").write_text("the user's")
    with pytest.raises(ExportError, match=f"--out={tmp_path}: .*.lock"):
        with publish.hidden_folder(tmp_path):
            pass
    assert (tmp_path / ".lock").read_text() == "the user's"


def test_no_file_is_written_through_a_link(tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    write_files(other, index="the user's")
    out.mkdir()
    (out / "web").symlink_to(other)
    manifest = {"files": {"web/index": {}}, "config": {}, "level": 0}
    publish.write_json(out / publish.MANIFEST, manifest)
    with publish.hidden_folder(out) as folder:
        write_files(folder, web__index="new")
        write_manifest(folder, ["web"])
        with pytest.raises(AlaeError, match="web/index"):
            publish.publish(folder, ["web"], out)
    assert (other / "index").read_text() == "the user's"


def test_a_deleted_lock_is_reported(tmp_path, capsys):
    with publish.hidden_folder(tmp_path / "out") as folder:
        (tmp_path / "out/.lock").unlink()
        write_files(folder, half="written")
        with publish.hidden_folder(tmp_path / "out") as other:
            assert (folder / "half").exists() and other.exists()
        write_files(tmp_path / "out", published="")
    assert ".lock" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["published"]


@pytest.mark.parametrize(
    "change",
    [
        {"level": float("inf")},
        {"level": "1"},
        {"level": None},
        {"files": {"x": 5}},
        {"files": ["x"]},
        {"files": {"x": {"weights": 7}}},
        {"config": {"epochs": float("nan")}},
        {"config": 3},
        {"weights": 3},
        {"weights": {"trained": "yes"}},
    ],
)
def test_manifests_of_wrong_types_are_refused(tmp_path, change):
    good = {"files": {"x": {"size": 1}}, "config": {"epochs": [1.0]}, "level": 0}
    (tmp_path / publish.MANIFEST).write_text(json.dumps(good))
    assert publish.read_manifest(tmp_path) == good
    (tmp_path / publish.MANIFEST).write_text(json.dumps(good | change))
    with pytest.raises(ExportError, match=f"--out={tmp_path}: {publish.MANIFEST}.*/{[*change][0]}"):
        publish.read_manifest(tmp_path)


def test_a_name_that_tensorflow_reads_as_a_pattern_is_refused(tmp_path):
    for name in ("exp[1]", "exp*", "exp?", "exp[1]/inside"):
        with pytest.raises(ExportError, match=re.escape(f"--out={tmp_path / name}")):
            publish.check_out(tmp_path / name)
    publish.check_out(tmp_path / "exp(1)")


def test_json_without_nan(tmp_path):
    with pytest.raises(ValueError):
        publish.write_json(tmp_path / "a.json", {"blend": float("nan")})
