import json
import re

import pytest

from export import ExportError, publish


def write_files(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_tflite", ".tflite")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_failed_export_leaves_no_directories(tmp_path):
    out = tmp_path / "a" / "b"
    with pytest.raises(ValueError, match="no"), publish.hidden_folder(out) as folder:
        write_files(folder, half="written")
        raise ValueError("no")
    assert not list(tmp_path.iterdir())
    out.mkdir(parents=True)
    with publish.hidden_folder(out):
        with pytest.raises(ExportError, match="another export is writing there"):
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
            files = publish.describe_files(folder, names)
            manifest = {"files": files, "config": {}, "level": 0}
            publish.write_json(folder / publish.MANIFEST, manifest)
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
        with pytest.raises(ExportError, match="saved_model there is of another kind"):
            publish.publish(folder, ["saved_model"], out)


def test_a_name_that_tensorflow_reads_as_a_pattern_is_refused(tmp_path):
    for name in ("exp[1]", "exp*", "exp?", "exp[1]/inside"):
        with pytest.raises(ExportError, match=re.escape(f"--out={tmp_path / name}")):
            publish.check_out(tmp_path / name)
    publish.check_out(tmp_path / "exp(1)")
